"""Write docs/licences.md and docs/checksums.txt: `python docs/make_licences.py`.

They hold the licences of all that mailvet needs and of every list in its wheel, and the checksums of those lists. It
runs in the environment of `make setup`.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Collection
from importlib import metadata, resources
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
DISTRIBUTION = "mailvet"
EXTRAS = (
    "airflow",
    "airflow-duckdb",
    "airflow-postgres",
    "gx",
    "gx-duckdb",
    "dbt",
    "dbt-postgres",
    "postgres",
    "sql",
    "spark",
    "excel",
    "s3",
    "gcs",
    "azure",
    "proxy",
    "lab",
    "service",
)


def needed(extra: str | None) -> dict[str, metadata.Distribution]:
    """Every installed distribution that mailvet needs, alone or with an extra, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(DISTRIBUTION, frozenset({extra} if extra else ()))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name == DISTRIBUTION:
            requires = own_requirements(extras)
        else:
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue  # for another platform or Python
            found[canonicalize_name(name)] = distribution
            requires = list(distribution.requires or ())
        for text in requires:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": chosen}) for chosen in (*extras, "")):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def own_requirements(extras: Collection[str]) -> list[str]:
    """As pyproject.toml has them, which may be newer than what is installed."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]


def licence(distribution: metadata.Distribution) -> str:
    """What a distribution says of its licence, in one line."""
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return expression
    classified = [
        text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if text.startswith("License ::")
    ]
    classified = [text for text in classified if text != "OSI Approved"]
    if classified:
        return ", ".join(dict.fromkeys(classified))
    first = (about.get("License") or "").strip().splitlines()
    return first[0][:60] if first else "see its files"


def dependencies() -> str:
    """One table of all distributions, each with what it is needed for."""
    core = needed(None)
    rows = {name: (distribution, ["core"]) for name, distribution in core.items()}
    for extra in EXTRAS:
        for name, distribution in needed(extra).items():
            if name not in core:
                rows.setdefault(name, (distribution, []))[1].append(extra)
    lines = ["| package | licence | needed for |", "|---|---|---|"]
    for name, (distribution, why) in sorted(rows.items()):
        shown = licence(distribution).replace("|", "/")
        lines.append(f"| {name} | {shown} | {', '.join(why)} |")
    return "\n".join(lines)


def lists() -> str:
    """Every data file of the wheel, with what its head says."""
    lines = ["| file | licence | source |", "|---|---|---|"]
    for file in sorted(resources.files("mailvet.data").iterdir(), key=lambda file: file.name):
        if not file.name.endswith((".csv", ".toml")):
            continue
        head = [line for line in file.read_text("utf-8").splitlines()[:60] if line.startswith("#")]
        licences = [line for line in head if "licence" in line.lower()]
        named = re.search(r"licence:? ?([^;]*)|\((Apache-2\.0)\)", licences[0], re.IGNORECASE) if licences else None
        source = next((line.partition("source:")[2].strip() for line in head if "source:" in line), "in each row")
        text = next((part for part in named.groups() if part), "Apache-2.0").strip() if named else "Apache-2.0"
        text = "Apache-2.0" if "Apache-2.0" in licences[0] else text
        lines.append(f"| `mailvet/data/{file.name}` | {text} | {source} |")
    for seed in sorted((HERE.parent / "dbt_macros/seeds").glob("*.csv")):
        about = seed.read_text("utf-8").splitlines()[1].rpartition(",")[2]
        parts = dict(part.strip().partition(": ")[::2] for part in about.split(";") if ": " in part)
        shown = parts.get("licence", "Apache-2.0")
        lines.append(f"| `dbt_macros/seeds/{seed.name}` | {shown} | {parts.get('source', 'as in mailvet/data')} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return f"""# Licences

mailvet is under the Apache License 2.0 (`LICENSE`). Written by `python docs/make_licences.py`.

## Lists in the wheel

Notices that have to travel with them are in `NOTICE` and `mailvet/data/disposable_domains.licences.txt`, both in the
wheel.

{lists()}

## What it needs

As the packages say of themselves, with all that they need in turn. `make sbom` writes the same with versions, as
CycloneDX; `make audit` looks for known vulnerabilities of those versions.

{dependencies()}
"""


def checksums() -> str:
    """SHA-256 of every data file of the wheel, as `sha256sum --check` reads it in the root of the checkout."""
    root = HERE.parent
    files = [*(root / "mailvet/data").iterdir(), *(root / "dbt_macros/seeds").glob("*.csv")]
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root).as_posix()}\n"
        for file in sorted(files)
        if file.suffix in (".csv", ".toml") or file.name.endswith(".licences.txt")
    )


if __name__ == "__main__":
    (HERE / "checksums.txt").write_text(checksums(), encoding="utf-8")
    (HERE / "licences.md").write_text(page(), encoding="utf-8")
