"""`mailvet serve`: the same verdicts over HTTP, for the moment of sign-up."""
