"""PostgreSQL through psycopg 3: verdicts go in by binary COPY and one upsert, status columns are written by UPDATE ...

FROM, which touches only the rows whose verdict changed, and what is due is read through a server cursor.
"""
