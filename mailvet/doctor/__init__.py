"""Is this machine fit to ask mail servers? `mailvet.doctor.examine(settings)` looks, `mailvet doctor` shows it."""

from mailvet.doctor.checks import Check, State, examine, summary

__all__ = ["Check", "State", "examine", "summary"]
