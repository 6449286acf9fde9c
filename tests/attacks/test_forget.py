"""After `forget`, no byte of a person is in the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailvet.verdict import email_key
from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse, open_verdicts
from tests.warehouse.answers import answers
from tests.warehouse.test_erasure import SAME_PERSON

Tried = Callable[[str, int], None]


def test_no_spelling_of_a_person_is_found_in_the_bytes_of_a_store(tmp_path: Path, tried: Tried) -> None:
    (tmp_path / "list.csv").write_text("email\nx@a.test\n")
    store = tmp_path / "mailvet.duckdb"
    warehouse = DuckDBWarehouse.of_file(tmp_path / "list.csv", None, store)
    warehouse.open_for_writing()
    for _ in range(3):
        warehouse.save(
            answers(dict.fromkeys([*SAME_PERSON, *(f"p{n}@b.test" for n in range(3_000))], "mailbox_accepted"))
        )
    warehouse.close()
    tried("spellings and keys of a person, searched for in the bytes of a store after forget", 2 * len(SAME_PERSON))
    verdicts = open_verdicts(store, read_only=False)
    assert verdicts.forget("dots@gmail.com") == len(SAME_PERSON)
    verdicts.close()
    held = store.read_bytes()
    assert [text for text in SAME_PERSON if text.encode() in held or email_key(text).encode() in held] == []
    assert b"dots" not in held.lower()
