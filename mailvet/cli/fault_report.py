"""What a fault of mailvet's own leaves behind: a file to send, without addresses."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from mailvet.privacy import mask_addresses

__all__ = ["write_fault_report"]


def write_fault_report(error: BaseException) -> Path | None:
    """A file with what happened, readable by this user alone; None where no file can be written."""
    from mailvet import __version__

    command = next((word for word in sys.argv[1:] if word.isidentifier()), "")
    text = (
        f"mailvet {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: {command}\n\n{''.join(traceback.format_exception(error))}"
    )
    try:
        descriptor, name = tempfile.mkstemp(prefix="mailvet-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(mask_addresses(text))
    except OSError:
        return None
    return Path(name)
