"""A page with code: its files are written and its commands are run, in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks_of", "run_page"]

_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_TIME = re.compile(r"^\d\d:\d\d:\d\d  ")
_LAB_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    title: str | None
    text: str

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command with the lines of output that the page shows below it."""
        command: str | None = None
        shown: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                if command is not None:
                    yield command, shown
                command, shown = line[2:], []
            else:
                shown.append(line)
        if command is not None:
            yield command, shown


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(*match.groups()) for match in _FENCE.finditer(page.read_text("utf-8"))]


def run_page(page: Path, folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Write the files of a page into a folder and run its commands there; what differs from what it shows.

    A shown line stands for one of the output with the same words, whatever its numbers; `...` stands for any lines.
    `mailvet lab` runs beside the rest.
    """
    shell = _Shell(folder, environment or {})
    wrong: list[str] = []
    try:
        for block in blocks_of(page):
            if block.title is not None:
                path = folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            for command, shown in block.commands() if block.language == "console" else ():
                output = shell.run(command)
                wrong += [f"$ {command}: {line!r} is not in its output:\n{output}" for line in _missing(shown, output)]
    finally:
        shell.close()
    return wrong


def _missing(shown: list[str], output: str) -> list[str]:
    """The first shown line that does not follow the others in the output."""
    lines = [_words(line) for line in output.splitlines()]
    for line in shown:
        if line.strip() in ("", "..."):
            continue
        if _words(line) not in lines:
            return [line]
        del lines[: lines.index(_words(line)) + 1]
    return []


def _words(line: str) -> str:
    plain = _TIME.sub("", _COLOUR.sub("", line))
    return " ".join(re.sub(r"[\d,.]+", "0", plain.replace("█", "")).split())


class _Shell:
    """Runs commands one after the other; what they export holds for those that follow."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        programs = Path(sys.executable).parent
        self._environment = {
            **os.environ,
            "COLUMNS": "120",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "XDG_DATA_HOME": str(folder / "home"),
            "XDG_STATE_HOME": str(folder / "home"),
            **environment,
        }
        self._labs: list[subprocess.Popen[str]] = []

    def run(self, command: str) -> str:
        """The output of a command, which has to succeed."""
        if command.startswith("mailvet lab "):
            return self._start(command)
        exported = self._folder / "exported"
        done = subprocess.run(
            ["bash", "-c", f"{command}\ncode=$?\nenv -0 > {exported.name}\nexit $code"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}\n{self._logs()}"
        variables = exported.read_text("utf-8").rstrip("\0").split("\0")
        self._environment = dict(variable.split("=", 1) for variable in variables)
        return done.stdout

    def close(self) -> None:
        """End the labs."""
        for lab in self._labs:
            lab.send_signal(signal.SIGINT)
            lab.communicate(timeout=_LAB_SECONDS)

    def _start(self, command: str) -> str:
        lab = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._labs.append(lab)
        config = self._folder / re.findall(r"--config (\S+)", command)[0]
        until = time.monotonic() + _LAB_SECONDS
        while not config.exists():
            assert lab.poll() is None, lab.communicate()[0]
            assert time.monotonic() < until, "the lab did not start"
            time.sleep(0.05)
        assert lab.stdout is not None
        return lab.stdout.readline()

    def _logs(self) -> str:
        return "\n".join(path.read_text("utf-8", errors="replace")[-4000:] for path in self._folder.glob("*.log"))
