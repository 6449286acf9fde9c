"""Tables of every kind in PostgreSQL: partitions, inheritance, domains, generated columns, views, triggers."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from mailvet.errors import SourceError
from mailvet.verdict import STATUS_COLUMNS
from tests.warehouse.answers import plan_of
from tests.warehouse.backends.test_postgres import written
from tests.warehouse.places import PostgresPlace
from tests.warehouse.test_contract import saved


def with_citext(postgres: PostgresPlace) -> None:
    """Add the type, which Debian's server has and the one from the package index has not."""
    if not postgres.sql("select 1 from pg_available_extensions where name = 'citext'"):
        pytest.skip("this PostgreSQL has no citext")
    postgres.sql("create extension if not exists citext")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        (
            "parts",
            "create table parts (id int generated always as identity, email text, day int, domain text generated "
            "always as (split_part(email, '@', 2)) stored) partition by range (day); create table parts_1 "
            "partition of parts for values from (0) to (9); insert into parts (email, day) values ('{}', 1)",
        ),
        ("blurred", "create table blurred (email citext); insert into blurred values ('{}')"),
        ("padded", "create table padded (email char(40)); insert into padded values ('{}')"),
        (
            "named",
            "create domain address as varchar(80); create table named (email address); insert into named values ('{}')",
        ),
        (
            "sales.customers",
            "create schema sales; create table sales.customers (email varchar(99)); "
            "insert into sales.customers values ('{}')",
        ),
        (
            "heirs",
            "create table ancestors (email text); create table heirs () inherits (ancestors); "
            "insert into heirs values ('{}')",
        ),
        ('"Odd.Name"', 'create table "Odd.Name" (email text); insert into "Odd.Name" values (\'{}\')'),
    ],
)
def test_any_kind_of_table_is_verified_and_written(postgres: PostgresPlace, name: str, made: str) -> None:
    cell = "Ann@A.test" if name == "blurred" else "ann@a.test"
    postgres.sql("drop schema if exists sales cascade")
    if "citext" in made:
        with_citext(postgres)
    postgres.sql(made.format(cell))
    assert written(postgres.opened(name), cell) == 1
    assert postgres.sql(f"select mailvet_reason from {name}") == [("mailbox_accepted",)]


def test_a_name_in_two_schemas_is_the_one_on_the_search_path_or_ambiguous(postgres: PostgresPlace) -> None:
    postgres.sql(
        "drop schema if exists sales cascade; drop schema if exists support cascade; create schema sales; "
        "create schema support; create table sales.people (email text); create table support.people (email "
        "text); create table people (email text, here int); create table sales.staff (email text); create "
        "table support.staff (email text)"
    )
    warehouse = postgres.opened("people")
    assert getattr(warehouse, "_source").relation == '"public"."people"'  # noqa: B009
    with pytest.raises(SourceError, match=r"ambiguous.*sales.staff, support.staff"):
        postgres.opened("staff")
    postgres.sql("create table sales.leads (email text)")
    with pytest.raises(SourceError, match=r"leads is in no schema .* Write sales\.leads if"):
        postgres.opened("leads")
    assert getattr(postgres.opened("sales.leads"), "_source").relation == '"sales"."leads"'  # noqa: B009
    postgres.sql("drop schema sales cascade; drop schema support cascade")


def test_computed_status_columns_are_refused_up_front(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql("alter table contacts add mailvet_status text generated always as (lower(email)) stored")
    with pytest.raises(SourceError, match="is computed"):
        postgres.opened().check_write_back(STATUS_COLUMNS)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("mailvet_status answer", "holds answer, but a status is a text"),
        ("mailvet_checked_at date", "holds date, but a checked_at is a timestamp"),
        ("mailvet_checked_at time", "holds time without time zone, but"),
        ("mailvet_score money", "holds money, but a score is a number"),
        ("mailvet_suggestion text not null default ''", "drop not null"),
    ],
)
def test_a_status_column_that_cannot_take_every_answer_is_told_before_anybody_is_asked(
    postgres: PostgresPlace, column: str, says: str
) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql(f"create type answer as enum ('deliverable', 'unknown'); alter table contacts add {column}")
    with pytest.raises(SourceError, match=rf"{says}.*Nothing was checked"):
        postgres.opened().check_write_back(STATUS_COLUMNS)


def test_what_a_constraint_refuses_is_written_to_no_row(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    postgres.sql("alter table contacts add mailvet_reason text check (id = 1 or mailvet_reason is null)")
    warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    with pytest.raises(SourceError, match="violates check constraint"):
        warehouse.write_back(("reason",))
    assert postgres.sql("select count(mailvet_reason) from contacts") == [(0,)]


def test_a_trigger_may_keep_a_row_as_it_is(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "ann@a.test")
    postgres.sql(
        "create function keep() returns trigger language plpgsql as $$ begin if new.id = 2 then return null; end if; "
        "return new; end $$; create trigger keep before update on contacts for each row execute function keep()"
    )
    assert written(postgres.opened()) == 1
    assert postgres.sql("select id from contacts where mailvet_status is not null") == [(1,)]


def test_columns_of_like_types_are_written_once(postgres: PostgresPlace) -> None:
    with_citext(postgres)
    postgres.contacts("ann@a.test")
    postgres.sql(
        "alter table contacts add mailvet_checked_at timestamp, "
        "add mailvet_score numeric(5, 1), add mailvet_status citext, add mailvet_reason char(40)"
    )
    warehouse = postgres.opened()
    assert written(warehouse) == 1
    assert warehouse.write_back(STATUS_COLUMNS) == 0


def test_a_materialized_view_is_a_view(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql("create materialized view frozen as select * from contacts")
    with pytest.raises(SourceError, match="is a view"):
        postgres.opened("frozen")


def test_the_users_indexes_and_triggers_are_as_before(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql("create index on contacts (email)")
    before = postgres.sql("select indexdef from pg_indexes where tablename = 'contacts'")
    written(postgres.opened())
    assert postgres.sql("select indexdef from pg_indexes where tablename = 'contacts'") == before


def test_times_are_utc_wherever_the_server_and_its_clock_are(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql("alter role postgres set timezone = 'America/New_York'")
    try:
        warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted"})
        assert postgres.sql("select checked_at from mailvet_verdicts") == [
            (datetime(2026, 11, 22, 12, tzinfo=timezone.utc),)
        ]
        # The server's own time plays no part: the run says what time it is.
        assert plan_of(warehouse, now=datetime(2026, 11, 22, 12, tzinfo=timezone.utc)).due == 0
        assert plan_of(warehouse, now=datetime(1999, 1, 1, tzinfo=timezone.utc)).due == 1  # dated in the future
        assert plan_of(warehouse, now=datetime(2099, 1, 1, tzinfo=timezone.utc)).due == 1
    finally:
        postgres.sql("alter role postgres reset timezone")
