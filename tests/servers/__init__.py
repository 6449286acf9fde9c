"""Tests against real name and mail servers on loopback."""
