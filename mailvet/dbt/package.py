"""Where the dbt package lies: beside the Python packages, both in a checkout and once installed."""

from __future__ import annotations

from pathlib import Path

from mailvet import SourceError

__all__ = ["package_path"]


def package_path() -> Path:
    """The folder for `packages: [{local: ...}]` in packages.yml.

    Raises:
        SourceError: it was not installed with mailvet.
    """
    path = Path(__file__).resolve().parent.parent.parent / "dbt_macros"
    if not (path / "dbt_project.yml").is_file():
        raise SourceError(
            "The dbt package is not beside this installation of mailvet. Install mailvet from its wheel, or name the "
            "repository with `git` and `subdirectory: dbt_macros` in packages.yml."
        )
    return path
