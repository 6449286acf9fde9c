"""
What history costs, and what it is worth: `python benchmarks/history.py [--quick]` measures and writes its section of
docs/history.md.

The speed of an import, in records a second of CPU; the join of events to contacts beside a bare hash join of the same
tables in the same run; and a list in the lab that was mailed until now, verified by DNS alone.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The folder of this file must not come first: its modules are named after what they measure.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.processes import ROOT, call

__all__ = ["imported", "joined", "listed", "measure"]

PAGE = ROOT / "docs" / "history.md"
_BEGIN, _END = "<!-- measured: history -->", "<!-- end: measured -->"
_WORDS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("delivered", 38, {}),
    ("processed", 38, {}),
    ("open", 8, {"sg_machine_open": True, "useragent": "Mozilla/5.0", "ip": "192.0.2.7"}),
    ("open", 6, {"sg_machine_open": False, "useragent": "Mozilla/5.0", "ip": "192.0.2.7"}),
    ("click", 3, {"url": "https://shop.example/a", "ip": "192.0.2.7"}),
    ("deferred", 3, {"response": "451 4.7.1 try again later", "attempt": "3"}),
    ("bounce", 2, {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"}),
    ("dropped", 1, {"reason": "Bounced Address", "status": "5.0.0"}),
    ("spamreport", 1, {}),
)


def measure(
    records: int = 1_000_000, contacts: int = 1_000_000, events: int = 5_000_000, addresses: int = 2_000
) -> dict[str, Any]:
    """Everything, each in a process of its own."""
    return {
        "import": call("benchmarks.history:imported", records=records),
        "duckdb": call("benchmarks.history:joined", contacts=contacts, events=events, database="duckdb"),
        "postgresql": call("benchmarks.history:joined", contacts=contacts, events=events, database="postgresql"),
        "list": call("benchmarks.history:listed", addresses=addresses),
    }


# -------------------------------------------------------------------- the import


def imported(records: int) -> dict[str, Any]:
    """In the measured process: the webhook records of a sender into a new DuckDB file."""
    from mailvet.runs.event_import import import_events
    from mailvet.warehouse.opening import open_events

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name:
        file = Path(name, "webhooks.jsonl")
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in _records(records))
        began = time.process_time()
        store = open_events(Path(name, "crm.duckdb"))
        result = import_events(file, store, "sendgrid")
        store.close()
        cpu = time.process_time() - began
        assert result.records == records, f"{result.records} of {records} records were read"
        return {"records": records, "added": result.added, "octets": file.stat().st_size, "cpu": cpu}


def _records(count: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(7)
    weights = [weight for _, weight, _ in _WORDS]
    start = int(time.time()) - 90 * 86_400
    for number in range(count):
        event, _, more = rng.choices(_WORDS, weights)[0]
        person = rng.randrange(max(1, count // 3))
        yield {
            "email": f"person{person}@domain{person % 5000}.example",
            "timestamp": start + number // 10,
            "smtp-id": f"<14c5d75ce93.dfd.{number}@ismtpd-555>",
            "event": event,
            "category": ["newsletter"],
            "sg_event_id": f"{number:032x}",
            "sg_message_id": f"{number // 3:x}.filter0001.16648.5515E0B88.0",
            **more,
        }


# -------------------------------------------------------------------- the join

_TABLES = (
    "create table contacts as select g as id, 'person' || g || '@company-' || g % 5000 || '.test' as email "
    "from {contacts}",
    "create table events as select 'person' || g % {people} || '@company-' || (g % {people}) % 5000 || '.test' "
    "as email, "
    "case g % 10 when 0 then 'open' when 1 then 'click' when 2 then 'sent' else 'delivered' end as event, "
    "timestamp '2026-01-01' + g % 300 * interval '1 day' as occurred_at from {events}",
)
_BARE = "select count(*), max(e.occurred_at) from contacts c join events e on e.email = c.email"


def joined(contacts: int, events: int, database: str) -> dict[str, Any]:
    """In the measured process: seconds of a plan with and without events, and of a bare hash join."""
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name:
        if database == "duckdb":
            import duckdb

            path = Path(name, "crm.duckdb")
            with duckdb.connect(str(path)) as db:
                for table in _TABLES:
                    db.execute(
                        table.format(
                            people=contacts, contacts=f"range({contacts}) r(g)", events=f"range({events}) r(g)"
                        )
                    )
                began = time.perf_counter()
                db.execute(_BARE).fetchall()
                bare = time.perf_counter() - began
            return {"contacts": contacts, "events": events, "bare": bare, **_plans(path, contacts)}
        import psycopg

        from tests.postgresql import running_server

        with running_server(()) as server:
            url = server.new_database("crm")
            with psycopg.connect(url, autocommit=True) as connection:
                for table in _TABLES:
                    connection.execute(
                        table.format(
                            people=contacts,
                            contacts=f"generate_series(0, {contacts - 1}) g",
                            events=f"generate_series(0, {events - 1}) g",
                        )
                    )
                connection.execute("vacuum analyze")
                connection.execute("set enable_mergejoin = off")
                connection.execute("set enable_nestloop = off")
                began = time.perf_counter()
                connection.execute(_BARE).fetchall()
                bare = time.perf_counter() - began
            return {"contacts": contacts, "events": events, "bare": bare, **_plans(url, contacts)}


def _plans(database: Path | str, contacts: int) -> dict[str, float]:
    from mailvet.vocabulary import RULES_VERSION
    from mailvet.warehouse.opening import open_table

    seconds = {}
    for name, table in (("without", None), ("with", "events")):
        warehouse = open_table(database, "contacts", "email", events=table)
        began = time.perf_counter()
        planned = warehouse.plan(
            now=datetime(2026, 12, 1, tzinfo=timezone.utc), depth_rank=1, rules_version=RULES_VERSION, listed={}
        )
        assert sum(batch.num_rows for batch in planned.due(100_000)) == contacts
        seconds[name] = time.perf_counter() - began
        warehouse.close()
    return seconds


# -------------------------------------------------------------------- the list


def listed(addresses: int) -> dict[str, Any]:
    """In the measured process: a list that was mailed every week of the last 90 days, verified by DNS alone.

    A tenth of the addresses died on the way: of these a third with their domain, the others at a mailbox server that
    refused the mailings after that, as the sender's events say. Those who died had got mail before.
    """
    import mailvet
    from mailvet.lab import Lab, World
    from mailvet.runs.event_import import import_events
    from mailvet.warehouse.opening import open_events
    from tests.probing import lab_settings

    rng = random.Random(11)
    now = datetime.now(timezone.utc)
    mailings = [now - timedelta(days=days) for days in range(3, 90, 7)]
    world = World().host("mx.alive.test").domain("alive.test", [(10, "mx.alive.test")])
    people = [f"person{number}@alive.test" for number in range(addresses)]
    dead = set(rng.sample(range(addresses), addresses // 10))
    records = []
    for number in range(addresses):
        of_domain = number in dead and number % 3 == 0
        if of_domain:
            people[number] = f"person{number}@gone{number}.test"
        died = rng.choice(mailings[:-1]) if number in dead else now
        for mailing in mailings:
            failed = mailing >= died
            if failed and of_domain:
                continue  # the sender still tries, and has nothing to say yet
            event = {"event": "bounce", "type": "bounce", "status": "5.1.1"} if failed else {"event": "delivered"}
            records.append(
                {
                    "email": people[number],
                    "timestamp": int(mailing.timestamp()) + number % 3600,
                    "sg_event_id": f"{number}-{mailing:%m%d}-{event['event']}",
                    **event,
                }
            )
    with Lab(world) as lab, tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name:
        import duckdb

        path = Path(name, "crm.duckdb")
        with duckdb.connect(str(path)) as db:
            db.execute("create table contacts as select unnest($1::varchar[]) as email", [people])
        store = open_events(path)
        import_events(records, store, "sendgrid")
        store.close()
        settings = lab_settings(lab, depth="dns", history={"events": "mailvet_events"})
        warehouse = mailvet.open_table(str(path), "contacts", events=settings.history)
        mailvet.run(warehouse, settings)
        warehouse.close()
        with duckdb.connect(str(path)) as db:
            sent = {
                email
                for (email,) in db.execute(
                    "select email from contacts where mailvet_recommendation = 'send'"
                ).fetchall()
            }
    alive = [person for number, person in enumerate(people) if number not in dead]
    return {
        "addresses": addresses,
        "alive": len(alive),
        "dead": len(dead),
        "alive_sent": sum(person in sent for person in alive) / len(alive),
        "dead_sent": sum(people[number] in sent for number in dead) / len(dead),
    }


# -------------------------------------------------------------------- the page


def section(found: dict[str, Any]) -> str:
    """The figures as text."""
    imports, people = found["import"], found["list"]
    rows = [
        f"| {title} | {result['events']:,} to {result['contacts']:,} | {result['bare']:.1f} s | "
        f"{result['without']:.1f} s | {result['with']:.1f} s | "
        f"{(result['with'] - result['without']) / result['bare']:.1f} |"
        for title, result in (("DuckDB", found["duckdb"]), ("PostgreSQL", found["postgresql"]))
    ]
    return "\n".join(
        [
            _BEGIN,
            "",
            f"**Import.** {imports['records']:,} webhook records (JSON Lines, {imports['octets'] / 1e6:.0f} MB) in "
            f"{imports['cpu']:.1f} seconds of CPU: {imports['records'] / imports['cpu']:,.0f} a second.",
            "",
            "**Join.** Seconds to plan and read a table that was never verified, without and with events, beside a "
            "bare hash join of\nthe same tables in the same run; the last column is what the events "
            "add, in bare joins.",
            "",
            "| database | events to contacts | bare join | without events | with events | added |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"**A list that is mailed.** In the lab, {people['addresses']:,} addresses were mailed weekly for 90 days; "
            f"{people['dead']:,} of them died before the last\nmailing, a third with their domain and the others by a "
            f"bounce. Verified with `--depth dns`, {people['alive_sent']:.1%} of those who took mail\nare `send`, and "
            f"{people['dead_sent']:.1%} of those who died.",
            "",
            _END,
        ]
    )


def main(arguments: list[str]) -> None:
    """Measure, and write the section of the page."""
    small = {"records": 20_000, "contacts": 5_000, "events": 25_000, "addresses": 200}
    text = section(measure(**small) if "--quick" in arguments else measure())
    if "--quick" in arguments:
        print(text)
        return
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(_BEGIN)
    PAGE.write_text(before + text + rest.partition(_END)[2], "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
