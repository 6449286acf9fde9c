"""A check that a suite was loaded whole.

Great Expectations drops stored expectations whose class it does not know, with nothing but a line in the log, and the
suite passes without them.
"""

from __future__ import annotations

from typing import Any

from mailvet import SettingsError

__all__ = ["assert_loaded"]


def assert_loaded(suite: Any, *, context: Any = None, expected: int | None = None) -> None:
    """Compare a suite with what is stored, or with the number of expectations it should have.

    Args:
        suite: ExpectationSuite, as `context.suites.get(name)` gives it.
        context: where it is stored; None takes the current one.
        expected: how many expectations there should be; None asks the store.

    Raises:
        SettingsError: expectations are missing: import ge_expectations before the suite is loaded.
    """
    if expected is None:
        import great_expectations as gx

        store = (context or gx.get_context()).expectations_store
        stored = store.get(store.get_key(name=suite.name, id=suite.id))
        types = [expectation["type"] for expectation in stored["expectations"]]
        expected = len(types)
    else:
        types = []
    loaded = [expectation.expectation_type for expectation in suite.expectations]
    if len(loaded) < expected:
        missing = list(types)
        for each in loaded:
            if each in missing:
                missing.remove(each)
        named = f" ({', '.join(sorted(set(missing)))})" if missing else ""
        raise SettingsError(
            f"The suite {suite.name} has {expected} expectations, but only {len(loaded)} were loaded{named}. Put "
            "`import ge_expectations` before the line that loads the suite."
        )
