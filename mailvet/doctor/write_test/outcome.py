"""What came of a write test, and the file of it that others may see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mailvet.errors import SettingsError
from mailvet.private_files import replaces

__all__ = ["CheckOutcome", "WriteTest", "check_output", "read_result"]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What came of one check."""

    name: str
    passed: bool
    seconds: float
    note: str
    """In words of the test's own; nothing of the user's."""


@dataclass(frozen=True, slots=True)
class WriteTest:
    """What came of the whole test: a file of this holds no name, host or secret of the user's."""

    backend: str
    versions: Mapping[str, str]
    checks: Sequence[CheckOutcome]
    left: Sequence[str] = ()
    """Tables that could not be dropped; not part of the file."""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """`{"backend", "versions", "passed", "checks": [{"name", "passed", "seconds", "note"}]}`."""
        return {
            "backend": self.backend,
            "versions": dict(self.versions),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
        }

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written; then none is there that was not there before.
        """
        with replaces(path, 0o644) as partial:
            partial.write_text(json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_result(path: Path) -> WriteTest:
    """A file as `WriteTest.write` makes it.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        checks = [CheckOutcome(**check) for check in found["checks"]]
        result = WriteTest(str(found["backend"]), dict(found["versions"]), checks)
        if found.keys() != result.as_dict().keys():
            raise ValueError("it has other fields")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is no result of a write test: {error}") from None
    return result


def check_output(path: Path) -> None:
    """See before anything is made that the result can be written there.

    Raises:
        SettingsError: the folder is not there, or a file of another kind is.
    """
    if not path.parent.is_dir():
        raise SettingsError(f"There is no folder {path.parent}. Make it first. Nothing was changed.")
    if path.exists():
        try:
            read_result(path)
        except ValueError:
            raise SettingsError(
                f"{path} is there already and is no result of a write test. Name another file, or move it away. "
                "Nothing was changed."
            ) from None
