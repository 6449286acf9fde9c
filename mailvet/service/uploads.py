"""The addresses of a batch, as JSON, JSON Lines or CSV."""

from __future__ import annotations

import json
from typing import Any

from mailvet.errors import MailvetError
from mailvet.private_files import PrivateFolder
from mailvet.service.problems import ProblemError

__all__ = ["TYPES", "addresses_of"]

TYPES = ("application/json", "application/x-ndjson", "text/csv")


def addresses_of(body: bytes, kind: str, column: str | None) -> list[str | None]:
    """The cells of an upload, in order.

    Args:
        body: as it came.
        kind: one of `TYPES`.
        column: of addresses in CSV; None finds it by its name.

    Raises:
        ProblemError: it cannot be read.
    """
    try:
        if kind == "text/csv":
            return _of_csv(body, column)
        if kind == "application/json":
            document = json.loads(body)
            if not isinstance(document, dict) or not isinstance(document.get("addresses"), list):
                raise ProblemError(422, 'The body is JSON of the form {"addresses": [...]}.')
            return [_cell(each) for each in document["addresses"]]
        return [_cell(json.loads(line)) for line in body.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise ProblemError(422, f"The body is not valid {kind}.") from None


def _cell(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((value[name] for name in ("address", "email") if name in value), ())
    if value is None or isinstance(value, str):
        return value if value is None else value.encode("utf-8", "replace").decode()
    raise ProblemError(422, 'An address is a text, or an object with "address" or "email".')


def _of_csv(body: bytes, column: str | None) -> list[str | None]:
    import duckdb

    from mailvet.warehouse.backends.duckdb.relations import described
    from mailvet.warehouse.files import INPUT, load
    from mailvet.warehouse.identifiers import quoted
    from mailvet.warehouse.tables import choose_column

    with PrivateFolder() as folder, duckdb.connect(":memory:") as db:
        path = folder.new(".csv")
        path.write_bytes(body)
        try:
            loaded = load(db, path, None)
            found = choose_column(described(db, INPUT), column or loaded.address_column, "the body", loaded.headers)
        except MailvetError as error:
            raise ProblemError(422, str(error).replace(path.name, "the body").replace(str(path.parent), "")) from None
        return [cell for (cell,) in db.execute(f"select {quoted(found)}::varchar from {INPUT}").fetchall()]
