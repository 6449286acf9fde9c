"""What the dbt package takes from the core is what the core says today."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from mailvet.policies import recommend
from mailvet.vocabulary import REASONS, Policy, Reason
from tests.dbt.conftest import PACKAGE, ROOT


def test_the_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "dbt_macros/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run: python dbt_macros/generate.py\n{done.stdout}{done.stderr}"


def test_every_variable_that_is_read_is_known_by_name() -> None:
    macros = {path: path.read_text("utf-8") for path in (PACKAGE / "macros").rglob("*.sql")}
    setting = next(text for path, text in macros.items() if path.name == "settings.sql")
    known = set(re.findall(r"'(mailvet_\w+)'", setting))
    read = {name for text in macros.values() for name in re.findall(r"mailvet\.setting\('(\w+)'", text)}
    assert read == known
    assert not [
        path for path, text in macros.items() if path.name != "settings.sql" and re.search(r"[^\w.]var\(", text)
    ]
    page = (ROOT / "docs" / "dbt.md").read_text("utf-8")
    assert not [name for name in known if f"`{name}`" not in page]


def test_every_seed_says_source_licence_and_date() -> None:
    seeds = sorted((PACKAGE / "seeds").glob("*.csv"))
    assert len(seeds) == 5
    for seed in seeds:
        head = seed.read_text("utf-8")[:2000]
        assert all(word in head for word in ("source: ", "licence: ", "date: 20")), seed.name


@pytest.mark.parametrize("policy", list(Policy))
def test_the_case_expressions_say_what_python_says(policy: Policy) -> None:
    import duckdb
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(extensions=["jinja2.ext.do"])
    generated = PACKAGE / "macros" / "generated"
    source = "".join((generated / f"{name}.sql").read_text() for name in ("status_case", "recommendation_case"))
    namespace = {"policy_named": lambda _: str(policy), "own_policies": dict}
    module: Any = environment.from_string(source).make_module({"mailvet": namespace, "return": lambda value: value})
    status, advice = (
        module.default__status_case("reason"),
        module.default__recommendation_case("reason", "score", "attempts", ""),
    )
    with duckdb.connect() as database:
        names = ", ".join(f"('{reason}')" for reason in REASONS)
        rows = database.execute(
            f"select reason, score, attempts, {status}, {advice} from (values {names}) as r(reason), "
            "(values (0), (39), (40), (59), (60), (89), (90), (100)) as s(score), range(1, 5) as a(attempts)"
        ).fetchall()
    assert len(rows) == len(REASONS) * 8 * 4
    for reason, score, attempts, found_status, found_advice in rows:
        assert found_status == str(REASONS[Reason(reason)].status)
        assert found_advice == str(recommend(Reason(reason), policy, score, attempts))
