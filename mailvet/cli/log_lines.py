"""The lines of the log that commands write."""

from __future__ import annotations

import logging

from mailvet.privacy import printable

__all__ = ["PrintableFormatter"]


class PrintableFormatter(logging.Formatter):
    """A line of a log stays one line, whatever the names and replies in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line with its message made printable."""
        record.message = printable(record.message)
        return super().formatMessage(record)
