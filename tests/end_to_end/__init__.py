"""Whole runs, from a table or file to its status columns, against a mail world on loopback."""
