"""Verification as Spark jobs, on two cores."""
