"""Data files as tables: which kinds there are, how each is read, and what can be wrong with one."""

from mailvet.warehouse.files.faults import first_line
from mailvet.warehouse.files.formats import FORMATS, format_of, is_database, split_name
from mailvet.warehouse.files.names import sql_path, unique_names
from mailvet.warehouse.files.reading import INPUT, Loaded, Reading, load, table_function

__all__ = [
    "FORMATS",
    "INPUT",
    "Loaded",
    "Reading",
    "first_line",
    "format_of",
    "is_database",
    "load",
    "split_name",
    "sql_path",
    "table_function",
    "unique_names",
]
