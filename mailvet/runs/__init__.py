"""What keeps a run standing.

What it may write, the journal of results that the database does not hold yet, saving and its retries, signals.
"""
