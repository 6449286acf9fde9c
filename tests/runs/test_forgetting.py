"""What is to be forgotten is searched for in the journals of the store too, also in those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

import mailvet
from mailvet.runs.forgetting import Forgotten, forget
from mailvet.runs.journal import Journal
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse


def damaged(tmp_path: Path, *addresses: str, keep_keys: bool = True) -> tuple[Path, Path]:
    """A store, and the folder of a journal of it whose beginning is lost."""
    (tmp_path / "list.csv").write_text("email\nx@a.test\n")
    store, folder = tmp_path / "mailvet.duckdb", tmp_path / "journal"
    warehouse = DuckDBWarehouse.of_file(tmp_path / "list.csv", None, store)
    warehouse.open_for_writing()
    store_id = warehouse.store_id
    warehouse.close()
    assert store_id is not None
    verdicts = mailvet.verify_many(addresses, depth="offline")
    if not keep_keys:
        for name in ("email_key", "mailbox_key"):
            place = verdicts.schema.get_field_index(name)
            empty = ["-" * 64] * verdicts.num_rows
            verdicts = verdicts.set_column(place, verdicts.schema.field(place), [empty])
    journal = Journal(store_id, "run1", folder)
    journal.append(verdicts)
    journal.close()
    (path,) = folder.iterdir()
    path.write_bytes(b"lost" * 4 + path.read_bytes()[16:])
    return store, folder


def forgotten(store: Path, folder: Path, address: str, *, domain: bool = False) -> Forgotten:
    warehouse = DuckDBWarehouse.of_store(store, read_only=False)
    try:
        return forget(warehouse, address, domain=domain, journal=folder)
    finally:
        warehouse.close()


@pytest.mark.parametrize("keep_keys", [True, False])
@pytest.mark.parametrize(
    ("held", "address"),
    [
        ("ann@acme.com", "ann@acme.com"),
        ("Ann@ACME.com", "ann@acme.com"),
        ("d.o.t.s+news@googlemail.com", "dots@gmail.com"),
        ("dots@gmail.com", "D.ots@googlemail.com"),
    ],
)
def test_a_damaged_journal_that_holds_the_person_is_deleted(
    tmp_path: Path, held: str, address: str, keep_keys: bool
) -> None:
    store, folder = damaged(tmp_path, "bob@acme.com", held, "cy@acme.com", keep_keys=keep_keys)
    done = forgotten(store, folder, address)
    assert [path.parent for path in done.deleted] == [folder]
    assert not [*folder.iterdir()]
    assert not any("damaged" in sentence for sentence in done.remains)


@pytest.mark.parametrize(("address", "domain"), [("eve@acme.com", False), ("acme.org", True)])
def test_a_damaged_journal_without_the_person_stays_and_is_named(tmp_path: Path, address: str, domain: bool) -> None:
    store, folder = damaged(tmp_path, "bob@acme.com", "steve@beta.com", "cy@acme.com")
    done = forgotten(store, folder, address, domain=domain)
    assert not done.deleted
    (path,) = folder.iterdir()
    assert any(str(path) in sentence and "damaged" in sentence for sentence in done.remains)


def test_a_damaged_journal_that_holds_the_domain_is_deleted(tmp_path: Path) -> None:
    store, folder = damaged(tmp_path, "bob@acme.com", "cy@beta.com")
    assert len(forgotten(store, folder, "beta.com", domain=True).deleted) == 1
