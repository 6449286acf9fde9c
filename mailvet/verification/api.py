"""`mailvet.verify`, `averify` and `verify_many`: verification without a table to read from or to write to.

What needs a network or a table is imported where it is used, so that the first verdict of a process comes soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mailvet.errors import SettingsError, argument
from mailvet.verdict import Verdict, email_key, verdict_schema
from mailvet.verification import scalar, table_engine
from mailvet.verification.few import verify_few
from mailvet.verification.verdict_settings import VerdictSettings, environment_has_settings
from mailvet.vocabulary import Depth

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import polars as pl
    import pyarrow as pa

    from mailvet.settings import Settings
    from mailvet.verification.verifier import Verifier

__all__ = ["averify", "settings_for", "verify", "verify_all", "verify_each", "verify_in_order", "verify_many"]

T = TypeVar("T")

_FEW = 512
"""
Distinct cells up to which plain Python takes no longer than the table engine. Measured offline on two cores as CPU
time, the least of ten: 16 cells 3 against 92 ms, 128 cells 15 against 85 ms, 512 cells 79 against 105 ms, 768 cells 103
against 108 ms.
"""
_SURROGATE = re.compile("[\ud800-\udfff]")


def verify(
    address: str | None,
    *,
    depth: Depth | str | None = None,
    settings: Settings | None = None,
    deadline: float | None = None,
) -> Verdict:
    """Verify one address.

    >>> verify("ann@example.com", depth="offline").reason
    <Reason.not_probed: 'not_probed'>

    Args:
        address: as it was typed, or as it stands in a table.
        depth: offline, dns or smtp; default: as the settings say.
        settings: default: from the environment.
        deadline: seconds after which the verdict is given with what is known: a layer whose servers have not replied
            leaves `not_probed`, and the evidence says which. The rest is found out in the background, and the next
            call for the address has it. Default: all layers are waited for.

    Raises:
        SettingsError, PreflightError: before anything is asked.
    """
    deadline = _checked(deadline)
    known = settings_for(settings, depth)
    if isinstance(known, VerdictSettings):
        return verify_few([_text(address)], known)[0]
    from mailvet.verification.background import run_in_background

    return run_in_background(_ask_one(_text(address), known, deadline))


async def averify(
    address: str | None,
    *,
    depth: Depth | str | None = None,
    settings: Settings | None = None,
    deadline: float | None = None,
) -> Verdict:
    """The same as `verify` for code that runs in an event loop: it waits without blocking the loop."""
    import asyncio

    deadline = _checked(deadline)
    known = settings_for(settings, depth)
    if isinstance(known, VerdictSettings):
        return (await asyncio.to_thread(verify_few, [_text(address)], known))[0]
    from mailvet.verification.background import start_in_background

    return await asyncio.wrap_future(start_in_background(_ask_one(_text(address), known, deadline)))


def verify_many(
    addresses: Iterable[str | None],
    *,
    depth: Depth | str | None = None,
    settings: Settings | None = None,
    poll: Callable[[], object] | None = None,
) -> pa.Table:
    """Verify addresses; each distinct text is verified once.

    Args:
        addresses: cells of text, as they stand in a contact table: a list, a column of pandas, Polars, Arrow or
            NumPy, or any other iterable. None, NaN and NA count as empty.
        depth: offline, dns or smtp; default: as the settings say.
        settings: default: from the environment.
        poll: called a few times a second by the waiting thread; what it raises ends the work.

    Returns:
        A table with the columns of `verdict_schema()`, one row per input, in the order of the input.

    Raises:
        SettingsError, PreflightError: before anything is asked.
        TypeError: what was given is not one column of cells.
    """
    return verify_all(addresses, _resolve_settings(settings, depth), poll)[0]


def verify_each(
    cells: list[str], settings: Settings | VerdictSettings, poll: Callable[[], object] | None = None
) -> tuple[list[Verdict], str | None]:
    """The verdicts of a few distinct cells without a table, and why they are degraded: None when all could be asked.

    Args:
        cells: texts.
        settings: `VerdictSettings` where nothing is to be asked (`settings_for`).
        poll: as in `verify_many`.
    """
    if isinstance(settings, VerdictSettings):
        return verify_few(cells, settings), None
    from mailvet.verification.background import run_in_background

    return run_in_background(_ask_each(cells, settings), poll)


def verify_in_order(cells: Sequence[str], settings: Settings | VerdictSettings) -> tuple[list[Verdict], str | None]:
    """The verdicts of a few cells in their order, each distinct text verified once, and why they are degraded."""
    distinct = list(dict.fromkeys(cells))
    known = settings if isinstance(settings, VerdictSettings) else settings_for(settings, None)
    if isinstance(known, VerdictSettings) or known.depth is not Depth.smtp:
        verdicts, degraded = verify_each(distinct, known)
    else:
        table, degraded = verify_all(distinct, known)
        verdicts = [Verdict.from_row(row) for row in table.to_pylist()]
    found = dict(zip(distinct, verdicts, strict=True))
    return [found[cell] for cell in cells], degraded


def settings_for(settings: Settings | None, depth: Depth | str | None) -> Settings | VerdictSettings:
    """What a verification goes by: `VerdictSettings` where nothing is to be asked.

    The library that checks settings is left alone where there are none.
    """
    if settings is None and depth == Depth.offline and not environment_has_settings():
        return VerdictSettings(Depth.offline)
    resolved = _resolve_settings(settings, depth)
    return VerdictSettings.of(resolved) if resolved.depth is Depth.offline else resolved


def verify_all(
    addresses: Iterable[str | None], settings: Settings, poll: Callable[[], object] | None = None
) -> tuple[pa.Table, str | None]:
    """The same as `verify_many`, and beside the table why it is degraded: None when all could be asked and believed."""
    table_engine.check_packages()
    cells = [_text(cell) for cell in _column_of(addresses)]
    if not cells:
        return verdict_schema().empty_table(), None
    distinct = list(dict.fromkeys(cells))
    is_few = len(distinct) <= _FEW
    if table_engine.is_lost() or (is_few and settings.depth is not Depth.smtp):
        # Of many, the waiting thread keeps polling.
        verdicts, degraded = verify_each(distinct, settings_for(settings, None) if is_few else settings, poll)
        return _table_of(cells, verdicts), degraded
    from mailvet.verification.background import run_in_background

    frame, degraded = run_in_background(_verify_table(distinct, settings), poll)
    return _in_input_order(cells, frame), degraded


def _resolve_settings(settings: Settings | None, depth: Depth | str | None) -> Settings:
    if settings is None:
        from mailvet.settings import Settings

        settings = Settings.load()
    if depth is None:
        return settings
    try:
        return settings.model_copy(update={"depth": Depth(depth)})
    except ValueError:
        raise SettingsError(f"{depth!r} is no depth; choose offline, dns or smtp.") from None


def _checked(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    from mailvet.verification.deadline import check_deadline

    try:
        return check_deadline(deadline)
    except ValueError as error:
        raise SettingsError(f"{argument('deadline')}: {error}.") from None


# -------------------------------------------------------------------- cells


def _column_of(addresses: Any) -> Iterable[object]:
    """The cells of one column. A text or a table is refused: its letters or column names would be taken for cells."""
    if isinstance(addresses, str | bytes):
        raise TypeError("verify_many takes many addresses, such as a list. For a single one call mailvet.verify(text).")
    if isinstance(addresses, Mapping) or hasattr(addresses, "columns") or getattr(addresses, "ndim", 1) != 1:
        raise TypeError("verify_many takes one column. Pass the column of addresses, such as verify_many(df['email']).")
    if not isinstance(addresses, Iterable):
        kind = type(addresses).__name__
        raise TypeError(f"verify_many takes a list or a column of addresses, not {kind}. Collect the column first.")
    for convert in ("to_pylist", "to_list", "tolist"):  # Arrow; pandas and Polars; NumPy
        if hasattr(addresses, convert):
            cells: Iterable[object] = getattr(addresses, convert)()
            return cells
    return addresses


def _text(cell: object) -> str:
    """A cell as text, an absent one as the empty text.

    A lone surrogate, which no table could hold, becomes U+FFFF, which no address may hold either.
    """
    absent = cell is None or (isinstance(cell, float) and cell != cell) or type(cell).__name__ == "NAType"
    text = "" if absent else str(cell)
    return text if text.isascii() else _SURROGATE.sub("\uffff", text)


# -------------------------------------------------------------------- the two ways


async def _with_verifier(settings: Settings, work: Callable[[Verifier], Awaitable[T]]) -> tuple[T, str | None]:
    """The result of the work, and why it is degraded if it is."""
    from mailvet.verification.background import shared_verifier
    from mailvet.verification.verifier import Verifier

    if settings.depth is not Depth.smtp:
        shared = await shared_verifier(settings)  # routes stay known from call to call
        return await work(shared), shared.degraded
    async with Verifier(settings) as verifier:
        return await work(verifier), verifier.degraded


async def _ask_one(cell: str, settings: Settings, deadline: float | None) -> Verdict:
    if deadline is not None:
        from mailvet.verification.background import examine_within

        return await examine_within(cell, settings, deadline)
    return (await _ask_each([cell], settings))[0][0]


async def _ask_each(cells: list[str], settings: Settings) -> tuple[list[Verdict], str | None]:
    return await _with_verifier(settings, lambda verifier: verifier.examine_each(cells))


async def _verify_table(cells: list[str], settings: Settings) -> tuple[pl.DataFrame, str | None]:
    from mailvet.verification.whole_table import verify_column

    return await _with_verifier(settings, lambda verifier: verify_column(verifier, cells))


def _table_of(cells: list[str], verdicts: list[Verdict]) -> pa.Table:
    import pyarrow as pa

    rows = {verdict.email_key: scalar.as_row(verdict) for verdict in verdicts}
    return pa.Table.from_pylist([rows[email_key(cell)] for cell in cells], schema=verdict_schema())


def _in_input_order(cells: list[str], verdicts: pl.DataFrame) -> pa.Table:
    """The verdicts of the distinct cells, in the order of their first times -> one row for each cell."""
    if verdicts.height < len(cells):
        import polars as pl

        every = pl.Series("cell", cells, dtype=pl.String).to_frame()
        distinct = every.unique(maintain_order=True).with_row_index("place")
        places = every.join(distinct, on="cell", how="left", maintain_order="left")["place"]
        verdicts = verdicts.select(pl.all().gather(places))
    return verdicts.to_arrow().cast(verdict_schema())
