"""Write the tables of docs/ that are generated from the code: `python docs/make_tables.py`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from mailvet.exports.destinations import ListFormat
from mailvet.exports.destinations import destinations as known_destinations
from mailvet.gates import COUNTS, FIGURES
from mailvet.history.facts import REASONS_FROM_EVENTS
from mailvet.history.vocabulary import EventWord, class_missing_words, ignored_words, vendors, words_of
from mailvet.lab.endless_profiles import ENDLESS_PROFILES
from mailvet.lab.hostile_profiles import HOSTILE_PROFILES
from mailvet.lab.profile_summary import learnt, refusal, summary
from mailvet.lab.server_profiles import ORDINARY_PROFILES, STATES, ServerProfile
from mailvet.lab.world import BEHAVIOURS
from mailvet.scoring.priors import PRIORS, SETTLED, WEIGHTS, contributions, probability_of, score_of
from mailvet.syntax.parser import SYNTAX_ERRORS
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import REASONS, SEND_FROM_SCORE, Policy, Reason, ReasonRule
from mailvet.warehouse.dialects import DIALECTS
from mailvet.warehouse.erasure import COPIES, FREED_BLOCKS, OWN_ROWS, UNNAMED

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- generated: {name} -->", "<!-- end: {name} -->"


def span(wait: timedelta) -> str:
    """A span of time as in a table: 5 min, 4 h, 30 d."""
    minutes = int(wait.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 24 * 60 else f"{minutes // (24 * 60)} d"


def advice(rule: ReasonRule, policy: Policy) -> str:
    """The recommendation with its exceptions."""
    if rule.is_by_score(policy):
        return f"send from score {SEND_FROM_SCORE[policy]}, else reverify"
    text = str(rule.recommendation(policy))
    return text + (f"; do_not_send after {rule.give_up_after} alike" if rule.give_up_after else "")


def reasons() -> str:
    """Every reason in order of precedence."""
    lines = [
        "| reason | status | meaning | marketing | transactional | signup | asked again after | layer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule in REASONS.values():
        again = ", then ".join(span(wait) for wait in rule.recheck) or "never"
        lines.append(
            f"| `{rule.reason}` | {rule.status} | {rule.meaning} | {advice(rule, Policy.marketing)} | "
            f"{advice(rule, Policy.transactional)} | {advice(rule, Policy.signup)} | {again} | {rule.layer} |"
        )
    return "\n".join(lines)


def reach() -> str:
    """What `forget` says that it cannot erase, by database."""
    everywhere = [OWN_ROWS, COPIES]
    lines = ["| where | what remains |", "|---|---|"]
    lines += [f"| everywhere | {sentence} |" for sentence in everywhere]
    lines += [f"| `store_addresses = false` | {UNNAMED} |", f"| a DuckDB database of yours | {FREED_BLOCKS} |"]
    lines += [
        f"| {dialect.name} | {' '.join(dialect.kept_after_delete)} |"
        for dialect in DIALECTS.values()
        if dialect.name != "mariadb"
    ]
    return "\n".join(lines)


def columns() -> str:
    """The verdict table."""
    lines = ["| column | type |", "|---|---|"]
    lines += [
        f"| `{field.name}` | {field.type}{'' if field.nullable else ', never null'} |" for field in verdict_schema()
    ]
    return "\n".join(lines)


def syntax_errors() -> str:
    """The detail codes of `syntax_invalid`."""
    return ", ".join(f"`{code}`" for code in SYNTAX_ERRORS)


def priors() -> str:
    """Where the score of each reason starts."""
    lines = [
        "| reason | P(hard bounce) | log-odds | score | flags count | why | source |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    for reason, prior in PRIORS.items():
        start = contributions(reason, ())[0].log_odds
        lines.append(
            f"| `{reason}` | {100 * prior.probability:g} % | {start:+.2f} | {score_of(probability_of(reason, ()))} | "
            f"{'no' if reason in SETTLED else 'yes'} | {prior.why} | {prior.source} |"
        )
    return "\n".join(lines)


def weights() -> str:
    """What each flag adds to the log-odds, and what that does to an accept-all address."""
    lines = ["| flag | log-odds | odds times | accept-all scores | why | source |", "|---|---:|---:|---:|---|---|"]
    for flag, row in WEIGHTS.items():
        scores = " to ".join(str(score_of(probability_of(Reason.accept_all, flags))) for flags in ((), (flag,)))
        lines.append(
            f"| `{flag}` | {row.weight:+.1f} | {math.exp(row.weight):.2f} | {scores} | {row.why} | {row.source} |"
        )
    return "\n".join(lines)


def _profiles(profiles: Iterable[ServerProfile], *, tells: bool = False) -> str:
    lines = [
        "| profile | does | unknown recipients get |" + (" tells |" if tells else ""),
        "|---|---|---|" + "---|" * tells,
    ]
    for profile in profiles:
        reply = refusal(profile)
        shown = f"`{reply}`" if reply else ""
        lines.append(
            f"| `{profile.name}` | {summary(profile)} | {shown} |" + (f" {learnt(profile)} |" if tells else "")
        )
    return "\n".join(lines)


def lab_profiles() -> str:
    """The ordinary server profiles of the lab."""
    return _profiles(ORDINARY_PROFILES.values())


def lab_hostile_profiles() -> str:
    """The server profiles that lie or break."""
    return _profiles(HOSTILE_PROFILES.values(), tells=True)


def lab_endless_profiles() -> str:
    """The server profiles that hold a client."""
    lines = ["| profile | does |", "|---|---|"]
    lines += [f"| `{profile.name}` | {summary(profile)} |" for profile in ENDLESS_PROFILES.values()]
    return "\n".join(lines)


def lab_zones() -> str:
    """How the name servers of a domain may behave."""
    return "\n".join(
        ["| `dns` | responses |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in BEHAVIOURS.items())]
    )


def lab_states() -> str:
    """What a mailbox can be."""
    return ", ".join(f"`{state}`" for state in STATES) + "."


def gate_counts() -> str:
    """What a gate counts."""
    return "\n".join(["| count | rows |", "|---|---|", *(f"| `{each.name}` | {each.about} |" for each in COUNTS)])


def gate_figures() -> str:
    """What a gate makes of the counts."""
    lines = ["| figure | is | limit |", "|---|---|---|"]
    for figure in FIGURES:
        ends = ", with `low` and `high`" if figure.name == "expected_bounce_rate" else ""
        limit = f"`{figure.limit}`" + (", with `max_age`" if figure.name == "stale_rate" else "")
        lines.append(f"| `{figure.name}`{ends} | `{figure.part}` / `{figure.whole}` | {limit} |")
    return "\n".join(lines)


def event_words() -> str:
    """The vocabulary of events, with the spellings that are read alike."""
    lines = ["| event | spellings |", "|---|---|"]
    lines += [f"| `{event}` | {', '.join(words_of(event))} |" for event in EventWord]
    lines.append(f"| its class is missing | {', '.join(sorted(class_missing_words()))} |")
    lines.append(f"| ignored | {', '.join(sorted(ignored_words()))} |")
    return "\n".join(lines)


def precedence() -> str:
    """The reason that decides, for each reason of the history (columns) and of another layer (rows)."""
    order = list(REASONS)
    columns = sorted((Reason.suppressed, *REASONS_FROM_EVENTS), key=order.index)
    lines = [f"| | {' | '.join(f'`{reason}`' for reason in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for other in order:
        if REASONS[other].layer != "history":
            cells = (f"`{min(reason, other, key=order.index)}`" for reason in columns)
            lines.append(f"| `{other}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def senders() -> str:
    """The senders whose words are known."""
    lines = ["| sender | level | tells machine opens | page | read |", "|---|---|---|---|---|"]
    for vendor in vendors().values():
        page = f"<{vendor.page}>" if vendor.page else ""
        tells = "yes" if vendor.machine_known else "some" if vendor.machine else "no"
        lines.append(f"| `{vendor.name}` | {vendor.level} | {tells} | {page} | {vendor.date if page else ''} |")
    return "\n".join(lines)


def destinations() -> str:
    """The lists of the tools that take them."""
    lines = ["| `--to` | list | file | addresses | at most | page | read |", "|---|---|---|---|---|---|---|"]
    for tool in known_destinations().values():
        for kind, form in tool.lists.items():
            written = f"{form.written}, hashed" if form.hashed else "clean"
            if form.ascii_local_part:
                written += ", ASCII before the @"
            cells = (f"`{tool.name}`", kind, form.format, written, _limits(form), f"<{form.page}>", form.date)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _limits(form: ListFormat) -> str:
    parts = []
    if form.max_rows is not None:
        parts.append(f"{form.max_rows:,} rows")
    if form.max_bytes is not None:
        parts.append(f"{form.max_bytes // 1_000_000:,} MB")
    if form.max_columns is not None:
        parts.append(f"{form.max_columns} columns")
    if form.format == "requests":
        parts.append(f"{form.request_rows:,} a request")
    return ", ".join(parts)


TABLES = {
    "destinations": destinations,
    "event words": event_words, "precedence": precedence, "senders": senders,
    "gate counts": gate_counts, "gate figures": gate_figures,
    "reach": reach,
    "reasons": reasons, "columns": columns, "syntax_errors": syntax_errors, "priors": priors, "weights": weights,
    "lab profiles": lab_profiles, "lab hostile profiles": lab_hostile_profiles,
    "lab endless profiles": lab_endless_profiles, "lab zones": lab_zones, "lab states": lab_states,
}  # fmt: skip


def rendered(text: str) -> str:
    """A page with every generated part made anew."""
    for name, make in TABLES.items():
        begin, end = BEGIN.format(name=name), END.format(name=name)
        if begin in text:
            head, rest = text.split(begin, 1)
            text = f"{head}{begin}\n\n{make()}\n\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> None:
    """Rewrite the pages in place."""
    for page in HERE.glob("*.md"):
        before = page.read_text(encoding="utf-8")
        if (after := rendered(before)) != before:
            page.write_text(after, encoding="utf-8")
            print(f"{page.name} written")


if __name__ == "__main__":
    main()
