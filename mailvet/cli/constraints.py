"""`mailvet constraints`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["constraints"]


def constraints() -> None:
    """The versions this release was tested with. For `pip install --constraint`."""
    import mailvet
    from mailvet.errors import SourceError

    package = Path(mailvet.__file__).parent
    # In the wheel it lies in the package, in a checkout beside it.
    for path in (package / "constraints.txt", package.parent / "constraints.txt"):
        if path.is_file():
            print(path.read_text(encoding="utf-8"), end="")
            return
    raise SourceError("This installation of mailvet holds no list of versions. Install mailvet from its wheel.")
