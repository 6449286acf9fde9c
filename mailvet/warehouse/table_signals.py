"""The signals of `mailvet.signals.columns` that need the whole table, as queries for where the table is.

Each is one SELECT over a relation of cells, and gives the few rows that are suspicious. The text is the same for every
database but for the words of its `Dialect`; nothing is read that the due rows do not need.
"""

from __future__ import annotations

from datetime import timedelta

from mailvet.reference import domains
from mailvet.signals.rules import (
    BURST_ROWS,
    BURST_SIGMAS,
    BURST_WINDOW,
    FREE_DIGITS,
    FREE_GAP,
    FREE_SIZE,
    LONGEST_COUNTER,
    SERIES_GAP,
    SERIES_SHARE,
    SERIES_SIZE,
    YEARS,
    half_window,
)
from mailvet.syntax.mailbox_key import mailbox_rules, mailbox_sql
from mailvet.warehouse.dialects import Dialect

__all__ = ["burst_sql", "duplicates_sql", "mailboxes_sql", "numbered_sql", "series_sql"]


def series_sql(
    cells: str, say: Dialect, *, due: str | None = None, free: str | None = None, everybody: str | None = None
) -> str:
    """A query that finds numbered series, as `suspicion.examine` does over the same distinct addresses.

    Args:
        cells: a table name as SQL, or a query in brackets, with the columns `email_key` and `folded` (lower-case
            text, trimmed); one row for each distinct text.
        due: a relation with the column `folded`; only series at their domains are looked for.
        free: SQL in brackets for the domains of free mail providers; the list of `domains.free_domains` if not given.
        everybody: a relation with the column `folded` of all texts, where `cells` holds nothing but those that
            `numbered_sql` lets through.
        say: the dialect.

    Returns:
        SQL for `email_key`, `series_size`: the members of series alone.
    """
    # Only texts with a digit before their @ can be in a series; they are taken apart before anything is counted.
    has_digit = say.has_digit_before_at("folded")
    has_at, domain = _has_at(say), say.after_at("folded")
    asked = f"and {domain} in {_asked_domains(say, due)}" if due is not None else ""
    return f"""
with addressed as (
    select email_key, folded, {domain} as domain from {cells} cells where {has_at} and {has_digit} {asked}
    {say.fence}
),
bases as (
    select email_key, domain, {_base(say)} as base
    from (select email_key, domain, {_local(say)} as local_part from addressed) a where domain <> ''
    {say.fence}
),
ended as (
    select email_key, domain, base,
        case when {say.without_last_digits("base")} <> base then '' else {say.after_digits("base")} end as tail
    from bases {say.fence}
),
cut as (
    select email_key, domain, tail, substr(base, 1, {say.length("base")} - {say.length("tail")}) as rest from ended
    {say.fence}
),
parted as (
    select email_key, domain, tail, rest, {say.without_last_digits("rest")} as head from cut where rest <> ''
    {say.fence}
),
counted as (
    select email_key, domain, head, tail, {say.length("rest")} - {say.length("head")} as digits,
        {say.whole_number(f"substr(rest, {say.length('head')} + 1)")} as counter,
        case when domain in {free or _free(say)} then 1 else 0 end as is_free
    from parted where {say.length("rest")} - {say.length("head")} <= {LONGEST_COUNTER}
    {say.fence}
),
usable as (
    select * from counted
    where is_free = 0 or (digits >= {FREE_DIGITS} and not (digits = 4 and counter between {YEARS[0]} and {YEARS[1]}))
),
counters as (select distinct domain, head, tail, counter, is_free from usable),
often as (
    select domain, head, tail from counters group by domain, head, tail having count(*) >= {SERIES_SIZE}
),
stepped as (
    select counters.domain as domain, counters.head as head, counters.tail as tail, counter, is_free,
        counter - lag(counter) over (
            partition by counters.domain, counters.head, counters.tail order by counter
        ) as step
    from counters
    join often on often.domain = counters.domain and often.head = counters.head and often.tail = counters.tail
),
runs as (
    select domain, head, tail, counter, is_free,
        sum(case when step > case when is_free = 1 then {FREE_GAP} else {SERIES_GAP} end then 1 else 0 end)
            over (partition by domain, head, tail order by counter rows unbounded preceding) as run
    from stepped
),
sized as (
    select domain, head, tail, counter, is_free, count(*) over (partition by domain, head, tail, run) as size from runs
),
enough as (
    select * from sized where size >= case when is_free = 1 then {FREE_SIZE} else {SERIES_SIZE} end
),
members as (
    select domain, count(*) as addresses
    from (select {domain} as domain from {everybody or cells} cells where {has_at}) everybody
    where domain in (select domain from enough where is_free = 0) group by domain
)
select usable.email_key as email_key, enough.size as series_size
from usable
join enough on enough.domain = usable.domain and enough.head = usable.head and enough.tail = usable.tail
    and enough.counter = usable.counter
left join members on members.domain = usable.domain
where usable.is_free = 1 or enough.size * {SERIES_SHARE} >= members.addresses""".strip()


def duplicates_sql(cells: str, say: Dialect) -> str:
    """A query that finds the other spellings of a mailbox, as `Reference.examine` tells mailboxes apart.

    Args:
        cells: a table name as SQL, or a query in brackets, with the columns `email_key`, `email` (exact text) and
            `folded` (lower-case, trimmed); one row for each distinct text.
        say: the dialect.

    Returns:
        SQL for `email_key`, `duplicate_of`: each but the plainest spelling, and the key of that one, which has the
        fewest characters (of several, the lowest key).
    """
    has_at = _has_at(say)
    # Two texts of one mailbox cannot both be written the plain way, so the search begins at those that are not.
    return f"""
with addressed as (
    select email_key, email, folded, {say.after_at("folded")} as domain from {cells} cells
    where {has_at} {say.fence}
),
parted as (
    select email_key, email, domain, {_local(say)} as local_part from addressed {say.fence}
),
mailboxes as (
    select email_key, email, {say.short(mailbox_sql("local_part", "domain", say))} as mailbox from parted {say.fence}
),
members as (
    select email_key, mailbox, {say.length("email")} as characters from mailboxes
    where mailbox in (select mailbox from mailboxes where mailbox <> email)
),
first_of as (
    select email_key,
        first_value(email_key) over (partition by mailbox order by characters, email_key) as duplicate_of
    from members
)
select email_key, duplicate_of from first_of where email_key <> duplicate_of""".strip()


def numbered_sql(cells: str, say: Dialect, *, free: str | None = None) -> str:
    """A query that leaves out most of what `series_sql` would only throw away in the end, and takes far less room.

    Args:
        cells: a query in brackets with the columns `place` (any number) and `folded`, as for `series_sql`; texts
            without a digit before an @ may be missing.
        say: the dialect.
        free: as for `series_sql`.

    Returns:
        SQL for `place`: of every text that differs from four others at least in nothing but a counter. Texts are told
        apart by 64 bits, so now and then one too many comes out, and never one too few.
    """
    return f"""
with numbered as (
    select place, {say.after_at("folded")} as domain, folded from {cells} cells
    where {_has_at(say)} and {say.has_digit_before_at("folded")}
),
bases as (
    select place, domain, {_base(say)} as base
    from (select place, domain, {_local(say)} as local_part from numbered) n where domain <> ''
),
ended as (
    select place, domain, base,
        case when {say.without_last_digits("base")} <> base then '' else {say.after_digits("base")} end as tail
    from bases
),
cut as (
    select place, domain, tail, substr(base, 1, {say.length("base")} - {say.length("tail")}) as rest from ended
),
parted as (select place, domain, tail, rest, {say.without_last_digits("rest")} as head from cut where rest <> ''),
counted as (
    select place, hash(domain, head, tail) as stem, {say.length("rest")} - {say.length("head")} as digits,
        case when {say.length("rest")} - {say.length("head")} = 4
            then {say.whole_number(f"substr(rest, {say.length('head')} + 1)")} end as year,
        domain in {free or _free(say)} as is_free
    from parted
),
stems as materialized (
    select place, stem from counted
    where digits <= {LONGEST_COUNTER} and (not is_free or (
        digits >= {FREE_DIGITS} and (year is null or year not between {YEARS[0]} and {YEARS[1]})
    ))
)
select place from stems where stem in (select stem from stems group by stem having count(*) >= {SERIES_SIZE})""".strip()


def mailboxes_sql(cells: str, say: Dialect) -> str:
    """What `duplicates_sql` would compare, in numbers that take far less room than texts.

    Args:
        cells: a query in brackets with the columns `place` (any number), `email` and `folded`, as for
            `duplicates_sql`.
        say: the dialect.

    Returns:
        SQL for `place`, `mailbox` (64 bits; equal for equal mailboxes, and hardly ever for others), and `odd`: whether
        the text is written another way than its mailbox.
    """
    domain = say.after_at("folded")
    local_part = f"substr(folded, 1, {say.length('folded')} - {say.length(domain)} - 1)"
    by_domain = mailbox_rules()
    names = sorted(by_domain.rewritten)
    # Nearly all texts are the mailbox itself, and are not taken apart.
    signs = [f"contains(folded, {say.literal(sign)})" for sign in by_domain.signs]
    apart = " or ".join([*signs, *(f"suffix(folded, {say.literal('@' + name)})" for name in names)])
    return f"""
with mailboxes as (
    select place, email,
        case when {apart} then {mailbox_sql(local_part, domain, say)} else folded end as mailbox
    from {cells} cells where {_has_at(say)}
)
select place, hash(mailbox) as mailbox, mailbox <> email as odd from mailboxes""".strip()


def burst_sql(
    signups: str,
    say: Dialect,
    *,
    due: str | None = None,
    free: str | None = None,
    window: timedelta = BURST_WINDOW,
) -> str:
    """A query that finds bursts of sign-ups, as `suspicion.examine` does.

    Args:
        signups: a table name as SQL, or a query in brackets, with the columns `cell` (the exact text, or its key where
            the database takes different texts for equal), `folded` (lower-case, trimmed) and `signed_up` (a date or a
            time); one row for each row of the source.
        due: a relation with the column `folded`; only bursts at their domains are looked for.
        free: SQL in brackets for the domains of free mail providers; the list of `domains.free_domains` if not given.
        window: the span within which sign-ups are counted, in whole seconds, even.
        say: the dialect.

    Returns:
        SQL for `cell`: every text of which one row at least is in a burst, once.
    """
    has_at, domain = _has_at(say), say.after_at("folded")
    slot = f"floor({say.seconds('signed_up')} / {half_window(window)})"
    asked = f"and domain in {_asked_domains(say, due)}" if due is not None else ""
    share = f"members * {say.real('everybody')} / total"
    evenly = f"members * {say.real('2')} / slots"
    return f"""
with timed as (
    select cell, {domain} as domain, {slot} as slot from {signups} signups
    where {has_at} and signed_up is not null
),
spans as (select count(*) as total, max(slot) - min(slot) + 1 as slots from timed),
busy as (select slot, count(*) as here from timed group by slot),
windows as (
    select slot, sum(here) as everybody
    from (select slot, here from busy union all select slot - 1 as slot, here from busy) halves group by slot
),
sizes as (
    select domain, count(*) as members from timed
    where domain not in {free or _free(say)} {asked} group by domain having count(*) >= {BURST_ROWS}
),
own as (
    select domain, slot, count(*) as here from timed where domain in (select domain from sizes) group by domain, slot
),
own_windows as (
    select domain, slot, sum(here) as here
    from (select domain, slot, here from own union all select domain, slot - 1 as slot, here from own) halves
    group by domain, slot having sum(here) >= {BURST_ROWS}
),
judged as (
    select own_windows.domain as domain, own_windows.slot as slot, here, {say.greater(share, evenly)} as expected
    from own_windows
    join sizes on sizes.domain = own_windows.domain
    join windows on windows.slot = own_windows.slot
    cross join spans
),
bursts as (select domain, slot from judged where here > expected + {BURST_SIGMAS} * sqrt(expected)),
both_halves as (
    select distinct domain, slot
    from (select domain, slot from bursts union all select domain, slot + 1 as slot from bursts) halves
)
select distinct timed.cell as cell
from timed join both_halves on timed.domain = both_halves.domain and timed.slot = both_halves.slot""".strip()


def _asked_domains(say: Dialect, due: str) -> str:
    """The domains of what is due, as a query in brackets.

    Each once, behind a fence: MariaDB takes a plain `in` for a join, and makes a row of each pair of texts.
    """
    found = f"select distinct {say.after_at('folded')} as asked_domain from {due} due_cells where {_has_at(say)}"
    return f"(select asked_domain from ({found} {say.fence}) asked)"


def _has_at(say: Dialect) -> str:
    return f"{say.position(_AT, 'folded')} > 1"


def _local(say: Dialect) -> str:
    return f"substr(folded, 1, {say.length('folded')} - {say.length('domain')} - 1)"


def _base(say: Dialect, local_part: str = "local_part") -> str:
    # A plus at the very start is no tag.
    plus = say.position("'+'", local_part)
    return f"case when {plus} > 1 then substr({local_part}, 1, {plus} - 1) else {local_part} end"


_AT = "'@'"


def _free(say: Dialect) -> str:
    return f"({', '.join(map(say.literal, sorted(domains.free_domains())))})"
