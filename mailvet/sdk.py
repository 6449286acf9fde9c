"""What integrations need beside the names of `mailvet`.

The Airflow provider, the expectations and the dbt runner import mailvet from here and from `mailvet` only. As cheap to
import as `mailvet`.

These names are kept within a minor version; what else stands in a module may move.
"""

from __future__ import annotations

from mailvet.lazy import lazy_names

TYPE_CHECKING = False  # `typing` itself takes longer to import than all of this
if TYPE_CHECKING:
    from mailvet.cli.progress import LogWatcher
    from mailvet.errors import argument
    from mailvet.gates import Limits, VerdictCount, among_words, in_audience, judge
    from mailvet.policies import AnyPolicy, OwnPolicy, recommend, recommendation_sql
    from mailvet.privacy import mask_address, mask_addresses, mask_text, printable
    from mailvet.private_files import replaces
    from mailvet.runs.event_import import import_events
    from mailvet.runs.in_hand import InHand
    from mailvet.runs.outputs import check_results
    from mailvet.runs.recheck import Recheck, parse_recheck
    from mailvet.runs.shards import plan_shards
    from mailvet.runs.sources import open_source
    from mailvet.runs.table_gate import held_against, judged
    from mailvet.scoring.priors import bounce_probability
    from mailvet.scoring.stored import bounce_probability_sql, stored_bounce_probability
    from mailvet.settings import parse_duration, parse_share
    from mailvet.syntax.missing import is_missing
    from mailvet.verdict import STATUS_COLUMNS, verdict_schema
    from mailvet.verification.api import verify_all
    from mailvet.verification.background import run_in_background
    from mailvet.verification.stream import Stream
    from mailvet.verification.verifier import Verifier
    from mailvet.vocabulary import REASONS
    from mailvet.warehouse.backends.duckdb.connection import open_database, opening_failed
    from mailvet.warehouse.conditions import forms, parse_duckdb
    from mailvet.warehouse.dialects import key_sql, literal, missing_sql, moment_sql
    from mailvet.warehouse.driver_errors import is_permanent, source_error
    from mailvet.warehouse.events import EventStore
    from mailvet.warehouse.files import sql_path
    from mailvet.warehouse.identifiers import parse_table, quoted, unquoted_parts
    from mailvet.warehouse.opening import open_events
    from mailvet.warehouse.schemas import enter_schema
    from mailvet.warehouse.store import Warehouse

__all__ = [
    "REASONS",
    "STATUS_COLUMNS",
    "AnyPolicy",
    "EventStore",
    "InHand",
    "Limits",
    "LogWatcher",
    "OwnPolicy",
    "Recheck",
    "Stream",
    "VerdictCount",
    "Verifier",
    "Warehouse",
    "among_words",
    "argument",
    "bounce_probability",
    "bounce_probability_sql",
    "check_results",
    "enter_schema",
    "forms",
    "held_against",
    "import_events",
    "in_audience",
    "is_missing",
    "is_permanent",
    "judge",
    "judged",
    "key_sql",
    "literal",
    "mask_address",
    "mask_addresses",
    "mask_text",
    "missing_sql",
    "moment_sql",
    "open_database",
    "open_events",
    "open_source",
    "opening_failed",
    "parse_duckdb",
    "parse_duration",
    "parse_recheck",
    "parse_share",
    "parse_table",
    "plan_shards",
    "printable",
    "quoted",
    "recommend",
    "recommendation_sql",
    "replaces",
    "run_in_background",
    "source_error",
    "sql_path",
    "stored_bounce_probability",
    "unquoted_parts",
    "verdict_schema",
    "verify_all",
]

_HOMES = {
    "mailvet.cli.progress": ["LogWatcher"],
    "mailvet.errors": ["argument"],
    "mailvet.gates": ["Limits", "VerdictCount", "among_words", "in_audience", "judge"],
    "mailvet.policies": ["AnyPolicy", "OwnPolicy", "recommend", "recommendation_sql"],
    "mailvet.privacy": ["mask_address", "mask_addresses", "mask_text", "printable"],
    "mailvet.private_files": ["replaces"],
    "mailvet.runs.event_import": ["import_events"],
    "mailvet.runs.in_hand": ["InHand"],
    "mailvet.runs.outputs": ["check_results"],
    "mailvet.runs.recheck": ["Recheck", "parse_recheck"],
    "mailvet.runs.shards": ["plan_shards"],
    "mailvet.runs.sources": ["open_source"],
    "mailvet.runs.table_gate": ["held_against", "judged"],
    "mailvet.scoring.priors": ["bounce_probability"],
    "mailvet.scoring.stored": ["bounce_probability_sql", "stored_bounce_probability"],
    "mailvet.settings": ["parse_duration", "parse_share"],
    "mailvet.syntax.missing": ["is_missing"],
    "mailvet.verdict": ["STATUS_COLUMNS", "verdict_schema"],
    "mailvet.verification.api": ["verify_all"],
    "mailvet.verification.background": ["run_in_background"],
    "mailvet.verification.stream": ["Stream"],
    "mailvet.verification.verifier": ["Verifier"],
    "mailvet.vocabulary": ["REASONS"],
    "mailvet.warehouse.backends.duckdb.connection": ["open_database", "opening_failed"],
    "mailvet.warehouse.conditions": ["forms", "parse_duckdb"],
    "mailvet.warehouse.dialects": ["key_sql", "literal", "missing_sql", "moment_sql"],
    "mailvet.warehouse.driver_errors": ["is_permanent", "source_error"],
    "mailvet.warehouse.events": ["EventStore"],
    "mailvet.warehouse.files": ["sql_path"],
    "mailvet.warehouse.identifiers": ["parse_table", "quoted", "unquoted_parts"],
    "mailvet.warehouse.opening": ["open_events"],
    "mailvet.warehouse.schemas": ["enter_schema"],
    "mailvet.warehouse.store": ["Warehouse"],
}

if not TYPE_CHECKING:  # to a type checker the names above are all there are
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
