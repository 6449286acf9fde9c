"""Verify a table, gate what is sent, export the lists."""
