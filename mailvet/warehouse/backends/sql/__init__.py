"""The verdicts of a table of a SQL database, for every database with a `Driver`.

Each part is an object that is handed what it needs, and `warehouse` puts them together. What is asked is written once,
in the words of a `Dialect`.

The verdict table lies in the default schema of the connection. Keys are computed by the database from the text as it
is at that moment, so a row that was edited meanwhile matches no verdict.
"""
