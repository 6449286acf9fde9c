"""Runs over one source: what they may write, and what they keep of it."""
