"""Whose rows are erased, and that nothing of them is left in a store."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

import mailvet
from mailvet.errors import LockedError, SettingsError, SourceError
from mailvet.runs.forgetting import forget
from mailvet.runs.journal import Journal
from mailvet.verdict import email_key
from mailvet.warehouse.backends.duckdb.rewriting import is_our_own, rewrite
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.erasure import Wanted
from mailvet.warehouse.tables import OWN_TABLES
from tests.warehouse.answers import NOW, answers

# fmt: off
SAME_PERSON = [
    "d.o.t.s@gmail.com", "DOTS@GMAIL.COM", " dots@gmail.com\u00a0", "dots+shop@googlemail.com", "Dots <dots@gmail.com>",
    "mailto:dots@gmail.com", "dots\uff20gmail.com", "\uff44\uff4f\uff54\uff53@gmail.com", "do\u200bts@gmail.com",
    "dots at gmail dot com", "dots(at)gmail.com", "dots%40gmail.com", "x@a.test; dots@gmail.com",
    "x@a.test,dots@gmail.com", "'dots@gmail.com",
    "'dots@gmail.com'", "dots@gmail.com.", '"dots"@gmail.com', "dots&#64;gmail.com", "Dot S (dots@gmail.com)",
]
OTHERS = ["dots@a.test", "xdots@gmail.com", "dots.x@gmail.com", "x-dots@gmail.com", "dots@gmail.com.test", "gmail.com",
          "dots", "o'dots@gmail.com", "dots_x@gmail.com"]
# fmt: on


@pytest.mark.parametrize("text", SAME_PERSON)
def test_every_spelling_of_a_mailbox_is_the_same_person(text: str) -> None:
    assert Wanted.of("dots@gmail.com").names(text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_people_are_left_alone(text: str) -> None:
    assert not Wanted.of("dots@gmail.com").names(text)


@pytest.mark.parametrize("spelling", [s for s in SAME_PERSON if "x@" not in s])
def test_a_person_can_be_named_in_every_spelling(spelling: str) -> None:
    assert Wanted.of(spelling).names("dots@gmail.com")


@pytest.mark.parametrize(
    "spelling",
    [
        "j\u00f6rg@b\u00fccher.example",
        unicodedata.normalize("NFD", "j\u00f6rg@b\u00fccher.example"),
        "J\u00d6RG@xn--bcher-kva.example",
        "J\u00f6rg <j\u00f6rg@B\u00dcCHER.example>",
    ],
)
def test_international_names_are_the_same_in_every_form(spelling: str) -> None:
    assert Wanted.of("j\u00f6rg@b\u00fccher.example").names(spelling)
    assert Wanted.of(spelling).names("j\u00f6rg@xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("text", "domain", "says"),
    [
        ("gmail.com", False, "--domain gmail.com"),
        ("@acme.test", False, "--domain acme.test"),
        ("ann@a.test", True, "is no domain"),
        ("ann@a.test, bob@b.test", False, "more than one address"),
        (" ", False, "Nothing was named"),
        ("nonsense", True, "is no domain"),
    ],
)
def test_what_is_meant_has_to_be_clear(text: str, domain: bool, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        Wanted.of(text, domain=domain)
    assert "ann@" not in str(caught.value)


def test_a_cell_that_holds_no_address_is_found_by_its_text() -> None:
    assert Wanted.of("Ann Lee").names(" ann  LEE".replace("  ", " "))
    assert not Wanted.of("Ann Lee").names("Ann Lee x")


# -------------------------------------------------------------------- DuckDB files


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of ours of a file of contacts, with the person in every column, and older blocks of deleted rows."""
    (tmp_path / "list.csv").write_text("email\nx@a.test\n")
    path = tmp_path / "mailvet.duckdb"
    warehouse = DuckDBWarehouse.of_file(tmp_path / "list.csv", None, path)
    warehouse.open_for_writing()
    texts = [*SAME_PERSON, *OTHERS, *(f"other{number}@b.test" for number in range(5_000))]
    for _ in range(2):  # the second time deletes the first
        warehouse.save(answers(dict.fromkeys(texts, "mailbox_accepted")))
    warehouse.save(answers({"dots@gmial.com": "typo_domain"}, suggestion="dots@gmail.com"))
    warehouse.save(answers({"moved@c.test": "mailbox_accepted"}, smtp_reply="now dots@gmail.com"))
    named = json.dumps([{"layer": "history", "fact": "hard_bounced", "detail": "newest on x as dots@gmail.com"}])
    warehouse.save(answers({"told@c.test": "mailbox_accepted"}, evidence=named))
    double = json.dumps([{"layer": "suspicion", "fact": "duplicate_of", "detail": email_key("dots@gmail.com")}])
    warehouse.save(answers({"double@c.test": "mailbox_accepted"}, evidence=double))
    warehouse.close()
    path.chmod(0o640)
    return path


def held(path: Path) -> str:
    files = [file for file in path.parent.rglob("*") if file.is_file() and file.suffix != ".csv"]
    return b"".join(file.read_bytes() for file in files).decode("utf-8", "replace").lower()


def test_nothing_of_a_person_is_left_in_a_store(store: Path) -> None:
    assert "d.o.t.s@gmail.com" in held(store)
    warehouse = DuckDBWarehouse.of_store(store, read_only=False)
    count = warehouse.forget("Dots@GMail.com")
    left = {email for (email,) in warehouse._rows("select email from mailvet_verdicts") if "other" not in email}
    assert left == set(OTHERS)
    assert count == len(SAME_PERSON) + 4
    assert not [sentence for sentence in warehouse.out_of_reach() if "freed blocks" in sentence]
    assert warehouse.stored("other7@b.test") is not None
    warehouse.close()
    bytes_held = held(store)
    for trace in (*SAME_PERSON, *map(email_key, SAME_PERSON)):
        for allowed in OTHERS:
            bytes_held = bytes_held.replace(allowed, "")
        assert trace.lower() not in bytes_held, trace
    assert sorted(file.name for file in store.parent.iterdir()) == ["list.csv", "mailvet.duckdb"]
    assert store.stat().st_mode & 0o777 == 0o640
    with duckdb.connect(str(store)) as db:
        assert db.execute("select count(*) from mailvet_verdicts").fetchall() == [(len(OTHERS) + 5_000,)]
        assert is_our_own(db)


def test_verdicts_that_are_too_old_leave_the_store_when_it_is_closed(store: Path, tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse.of_file(tmp_path / "list.csv", None, store)
    assert warehouse.forget_before(NOW + timedelta(days=1)) > 5_000
    warehouse.close()
    assert "d.o.t.s@gmail.com" not in held(store)
    assert "other7@b.test" not in held(store)


def test_of_a_database_of_the_users_only_our_tables_are_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create table contacts as select 'dots@gmail.com' as email")
    warehouse = DuckDBWarehouse.of_table(path, "contacts", None)
    warehouse.open_for_writing()
    warehouse.save(answers({"dots@gmail.com": "mailbox_accepted", "x@a.test": "mailbox_accepted"}))
    warehouse.close()
    inode = path.stat().st_ino
    warehouse = DuckDBWarehouse.of_store(path, read_only=False)
    assert warehouse.forget("dots@gmail.com") == 1
    remains = " ".join(warehouse.out_of_reach())
    warehouse.close()
    assert "freed blocks" in remains
    assert "rows of your own tables" in remains
    assert "Backups" in remains
    assert path.stat().st_ino == inode
    with duckdb.connect(str(path)) as db:
        assert db.execute("select email from contacts").fetchall() == [("dots@gmail.com",)]
        assert db.execute("select email from mailvet_verdicts").fetchall() == [("x@a.test",)]


def test_tables_named_by_key_and_records_of_runs_are_erased_too(store: Path) -> None:
    with duckdb.connect(str(store)) as db:
        db.execute("create table mailvet_events (email_key varchar, mailbox_key varchar, event varchar)")
        db.execute(
            "insert into mailvet_events values ($1, null, 'x'), ('other', null, 'x')", [email_key("dots@gmail.com")]
        )
        db.execute("create table mailvet_shards (plan_id varchar, domain varchar, shard integer, planned_at timestamp)")
        db.execute("insert into mailvet_shards values ('p', 'gmail.com', 1, now()), ('p', 'a.test dots', 1, now())")
        runs = [("1", "dots@gmail.com.csv.gz"), ("2", "list.csv"), ("3", "for dots@gmail.com (old)")]
        db.executemany("insert into mailvet_runs (run_id, source) values ($1, $2)", runs)
    warehouse = DuckDBWarehouse.of_store(store, read_only=False)
    warehouse.forget("dots@gmail.com")
    warehouse.close()
    with duckdb.connect(str(store)) as db:
        assert db.execute("select email_key from mailvet_events").fetchall() == [("other",)]
        assert db.execute("select domain from mailvet_shards").fetchall() == [("gmail.com",)]
        assert db.execute("select run_id from mailvet_runs").fetchall() == [("2",)]


def test_a_store_that_another_program_has_open_is_not_replaced(store: Path) -> None:
    program = (
        'import duckdb, sys; db = duckdb.connect(sys.argv[1]); db.execute("insert into mailvet_runs (run_id) values '
        "('9')\"); print('open', flush=True); input(); db.close()"
    )
    inode = store.stat().st_ino
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(LockedError):
            rewrite(store)
        other.communicate("\n")
    assert store.stat().st_ino == inode
    rewrite(store)
    assert store.stat().st_ino != inode
    with duckdb.connect(str(store)) as db:
        assert db.execute("select run_id from mailvet_runs").fetchall() == [("9",)]


def test_a_store_that_this_program_has_open_elsewhere_is_not_replaced(store: Path) -> None:
    inode = store.stat().st_ino
    with duckdb.connect(str(store)) as db:
        db.execute("insert into mailvet_runs (run_id) values ('9')")
        with pytest.raises(SourceError):
            rewrite(store)
    assert store.stat().st_ino == inode


def test_a_log_that_a_killed_program_left_is_part_of_the_copy(store: Path) -> None:
    program = (
        "import duckdb, os, sys; db = duckdb.connect(sys.argv[1]); "
        "db.execute('pragma disable_checkpoint_on_shutdown'); "
        "db.execute(\"insert into mailvet_runs (run_id) values ('killed')\"); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=False)
    assert Path(f"{store}.wal").exists()
    rewrite(store)
    assert not Path(f"{store}.wal").exists()
    with duckdb.connect(str(store)) as db:
        assert db.execute("select run_id from mailvet_runs").fetchall() == [("killed",)]


def test_every_table_that_the_code_makes_is_known_to_erasure() -> None:
    made: set[str] = set()
    for file in Path(mailvet.__file__).parent.rglob("*.py"):
        text = file.read_text()
        made |= set(re.findall(r"create table (?:if not exists )?(mailvet_\w+)", text))
        made |= set(re.findall(r"^_?(?!DUE)[A-Z]+ = \"(mailvet_[a-z]+)\"$", text, re.MULTILINE))
    assert made <= set(OWN_TABLES)
    assert "mailvet_verdicts" in made


def test_what_a_killed_run_left_in_its_journal_does_not_come_back(store: Path, tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse.of_store(store, read_only=False)
    named = warehouse.store_id
    assert named is not None
    folder = tmp_path / "journal"
    journal = Journal(named, "run", folder)
    journal.append(answers({"Dots@Gmail.com": "mailbox_accepted", "late@b.test": "mailbox_accepted"}))
    done = forget(warehouse, "dots@gmail.com", journal=folder)
    assert any("A run is at work" in sentence for sentence in done.remains)
    journal.close()
    done = forget(warehouse, "dots@gmail.com", journal=folder)
    assert done.verdicts == 1
    assert not any("A run is at work" in sentence for sentence in done.remains)
    assert warehouse.stored("late@b.test") is not None
    warehouse.close()
    assert list(folder.iterdir()) == []
