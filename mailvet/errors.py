"""
The errors mailvet raises. Every message says what is wrong and what to do next.

MailvetError
├── SettingsError      a setting, argument or configuration file that cannot be used
├── SourceError        a file, database, table or column that cannot be read or written
│   └── LockedError    another process holds the database
└── PreflightError     the machine is not fit for the depth asked for (no host name, no resolver)

None of them ever carries a whole e-mail address.
"""

from __future__ import annotations

__all__ = ["LockedError", "MailvetError", "PreflightError", "SettingsError", "SourceError"]


class MailvetError(Exception):
    """Base of everything mailvet raises on purpose; `str(error)` is fit to show to a user."""


class SettingsError(MailvetError):
    """A setting, argument or configuration file cannot be used as it is."""


class SourceError(MailvetError):
    """A file, database, table or column cannot be read, planned over or written."""


class LockedError(SourceError):
    """Another process holds the database file; nothing was read or written."""


class PreflightError(MailvetError):
    """The machine cannot do what the depth asks for; nothing was probed."""
