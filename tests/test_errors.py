"""How errors name arguments."""

from __future__ import annotations

import pickle

from airflow_provider_mailvet.arguments import argument_words
from mailvet.errors import SettingsError, SourceError, argument, option, python_argument


def test_one_message_names_its_arguments_as_each_tool_spells_them() -> None:
    error = SourceError(f"The condition {argument('where')} fails; use {argument('write_back', False)}.")
    assert str(error) == "The condition where fails; use write_back=False."
    assert error.worded(python_argument) == str(error)
    assert error.worded(option) == "The condition --where fails; use --no-write-back."
    assert error.worded(argument_words) == str(error)


def test_values_are_spelled_too() -> None:
    error = SettingsError(f"{argument('encoding', 'cp1252')} and {argument('lenient', True)}, {argument('key_column')}")
    assert str(error) == "encoding='cp1252' and lenient=True, key_column"
    assert error.worded(option) == "--encoding cp1252 and --lenient, --key-column"
    assert error.worded(argument_words).endswith("lenient=True, key_columns")


def test_an_error_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(SourceError(f"Name {argument('table')}.")))
    assert (str(error), error.worded(option)) == ("Name table.", "Name --table.")
