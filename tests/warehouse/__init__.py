"""The places where contacts and verdicts live."""
