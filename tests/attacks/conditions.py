"""Conditions on rows that try to be more than one expression. Each is refused, and nothing it would do happens."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CLAUSES", "FILES", "HONEST", "SMUGGLED"]

_BAIT = "drop table bait"

SMUGGLED: Sequence[str] = (
    f"email = $$'$$ or 1 = 1; {_BAIT} --'",
    f"email <> $$'$$); {_BAIT}; select ($$'$$",
    f"email <> $x$ ' $x$ ); {_BAIT}; select ('",
    f"email = E'\\''; {_BAIT} --'",
    f"email <> E'\\' ); {_BAIT}; select (' -- '",
    f"email <> '\\'; {_BAIT}; -- '",
    f"email <> '\\' or 1 = 1; {_BAIT}; -- '",
    f"1 = 1 /* /* */ ' */; {_BAIT} --'",
    f"1 = 1 /* ' */; {_BAIT} -- '",
    f"1 = 1 /* /* */ */; {_BAIT}",
    f'1 = 1 /* " */; {_BAIT} -- "',
    f"1 = 1 -- '\n; {_BAIT} -- '",
    f"1 = 1 # '\n; {_BAIT} # '",
    f"1 = 1 /*! ; {_BAIT} */",
    f"1 = 1 /*!50000 ) ; {_BAIT} ; select (1 */",
    f"`'` = 1; {_BAIT} -- '",
    f"[']= 1; {_BAIT} -- '",
    f"email = U&'\\0027'; {_BAIT} --'",
    f"email = q'[']'; {_BAIT} --'",
    f"email = N''''; {_BAIT} --",
)
"""What some engines read as one expression and others as two statements, by how they quote; `bait` has to stay."""

CLAUSES: Sequence[str] = (
    f"1 = 1; {_BAIT}",
    f"1 = 1); {_BAIT} --",
    f"1 = 1); {_BAIT}; select (1",
    f"1 = 1) ; {_BAIT} ; select * from contacts where (1 = 1",
    f"1 = 1) {_BAIT} select * from contacts where (1 = 1",
    "1 = 1) union select email from bait where (1 = 1",
    "1 = 1) union all (select 1",
    "1 = 1 union select 1",
    "1 = 1) or exists (select 1 from bait) or (1 = 1); vacuum; select (1",
    "1 = 1 limit 1",
    "1 = 1 order by 1",
    "1 = 1 group by email",
    "1 = 1) group by (email",
    "1 = 1) limit (1",
    "1 = 1 for update",
    "1 = 1 into outfile '/var/mailvet-attack'",
    "1 = 1) into outfile '/var/mailvet-attack' -- ",
    f"{_BAIT}",
    "delete from bait",
    "select 1",
    "1 = 1, 2 = 2",
    "1 = 1 as truth",
    "  \n ",
    "-- nothing",
    "/* nothing */",
    "(1 = 1",
    "1 = 1)",
    ")(",
    "'",
    '"',
    "1 = 1 /*",
    "1 = 1\0; drop table bait",
)
"""What is no expression for any engine."""

FILES: Sequence[str] = (
    "exists (select 1 from read_text('{file}'))",
    "exists (select 1 from read_blob('{file}'))",
    "exists (select 1 from read_csv('{file}'))",
    "exists (select 1 from read_csv_auto('{file}'))",
    "exists (select 1 from read_json('{file}'))",
    "exists (from '{file}')",
    'exists (select 1 from "{file}")',
    "exists (select 1 from glob('{folder}/*'))",
    "exists (select 1 from sniff_csv('{file}'))",
    "exists (select 1 from query('select * from read_text(''{file}'')'))",
    "exists (select 1 from query_table('{file}'))",
    "exists (from json_execute_serialized_sql(json_serialize_sql('select * from read_text(''{file}'')')))",
    "email in (select content from read_text('{folder}/*.csv'))",
    "(select count(*) from read_text('{file}')) > 0",
    "exists (select 1 from parquet_metadata('{file}'))",
    "exists (select 1 from read_csv('http://127.0.0.1:9/x.csv'))",
    "exists (with found as (select * from read_text('{file}')) select 1 from found)",
    "exists (select 1 from range(1), lateral (select * from read_text('{file}')))",
)
"""Honest-looking conditions on DuckDB that read a file beside the database."""

HONEST: Sequence[str] = (
    "country = 'DE'",
    "country = 'DE' -- the first",
    "country = 'DE' /* the ' first; */",
    "email <> 'a;b'",
    "email <> 'it''s; --'",
    "id in (select id from contacts where country = 'DE')",
    "exists (select 1 from contacts as other where other.country = 'DE')",
    "(country = 'DE') or (country = 'FR')",
    "country = 'DE'\nor country = 'FR'",
    "case when country = 'DE' then 1 else 0 end = 1",
    "email like '%;%' or 1 = 1",
    "\tcountry = 'DE'  ",
)
"""Conditions that hold on each engine, and stay allowed."""
