"""The process of a command: its signals, its standard streams, and the exit code of whatever happens."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from typing import Any, NoReturn

import typer

from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import say
from mailvet.cli.standard_streams import OutputError, standard_streams
from mailvet.errors import ConnectionLostError, MailvetError, PreflightError, RunUnderWayError, needs_package, option
from mailvet.runs.in_hand import process_in_hand as in_hand
from mailvet.runs.signals import StopSignals

__all__ = ["run_command"]

_DUCKDB_ADVICE = (
    "If it is damaged, put back a copy of it, or move it away and verify anew; what was saved before stays in it."
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO)
"""What the machine lacks, which is neither the input's fault nor ours."""


def run_command(app: typer.Typer) -> NoReturn:
    """Entry point: whatever happens, one paragraph and an exit code, never a traceback."""
    in_hand.reset()
    with standard_streams():
        with StopSignals(lambda: in_hand.sentences(in_hand.advice)) as signals:
            code = _call(app, signals)
        if in_hand.stuck:  # the database holds a thread that no exit would wait for in vain
            with contextlib.suppress(OSError, OutputError):
                sys.stdout.flush()
            os._exit(code)
    sys.exit(code)


def _call(app: typer.Typer, signals: StopSignals) -> int:
    """Run the command; its exit code."""
    try:
        code = app(prog_name="mailvet", standalone_mode=False)
        if signals.number is None and code != ExitCode.interrupted:
            sys.stdout.flush()
            return int(code or 0)
    except BaseException as error:
        if signals.number is None and not isinstance(error, KeyboardInterrupt):
            return _failed(error)
    # Also where a library made another error of the signal's.
    say("Stopped.", in_hand.sentences(in_hand.advice))
    return 128 + (signals.number or signal.SIGINT)


def _failed(error: BaseException) -> int:
    """Say what went wrong; the exit code for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.own_fault
    if isinstance(error, OutputError):
        say("Error:", f"The output could not be written: {error}.")
        return ExitCode.bad_input
    if isinstance(error, ImportError):
        error = needs_package(error) or error
    if isinstance(error, PreflightError):
        say("Not started:", error.worded(option))
        return ExitCode.degraded
    if isinstance(error, MailvetError):
        # Once servers were asked, the input was good.
        went_on = in_hand.begun or isinstance(error, (ConnectionLostError, RunUnderWayError))
        kept = f" {in_hand.sentences(in_hand.advice)}" if in_hand.begun else ""
        say("Error:", error.worded(option) + kept)
        return ExitCode.degraded if went_on else ExitCode.bad_input
    if hasattr(error, "format_message") and hasattr(error, "show"):  # click.ClickException, which typer carries itself
        _say_usage(error)
        return ExitCode.bad_input
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        say("Error:", _what_is_lacking(error))
        return ExitCode.degraded
    if type(error).__module__.lstrip("_").partition(".")[0] == "duckdb":
        say(
            "Error:",
            f"DuckDB cannot read or write the database: {str(error).strip().splitlines()[0]}. {_DUCKDB_ADVICE}",
        )
        return ExitCode.degraded if in_hand.begun else ExitCode.bad_input
    from mailvet.cli.fault_report import write_fault_report

    report = write_fault_report(error)
    send = f"Please send the file {report} (it holds no addresses)" if report else "Please tell of it"
    kept = f" {in_hand.sentences(in_hand.advice)}" if in_hand.begun else ""
    say("Error:", f"A fault of mailvet's own ({type(error).__name__}). {send} to its maintainers.{kept}")
    return ExitCode.own_fault


def _say_usage(error: Any) -> None:
    """What was wrong with the words of the command, and how it is written."""
    context = getattr(error, "ctx", None)
    if context is not None:
        print(context.get_usage(), file=sys.stderr)
        print(f"Try '{context.command_path} -h' for help.", file=sys.stderr)
    say("Error:", error.format_message())


def _what_is_lacking(error: BaseException) -> str:
    if isinstance(error, MemoryError) or not isinstance(error, OSError):
        return "There is not enough memory."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "No more files can be opened: raise the limit (ulimit -n), or lower pacing.connections."
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{where}."
