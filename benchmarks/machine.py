"""What was measured on, and with what."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "describe"]

PACKAGES = (
    "mailvet",
    "aiodns",
    "pycares",
    "aiosmtplib",
    "dnspython",
    "duckdb",
    "email-validator",
    "polars",
    "pyarrow",
    "pyspark",
    "great-expectations",
    "apache-airflow",
    "rapidfuzz",
    "emval",
    "listwash",
    "pigeontrust",
    "py3-validate-email",
    "pyisemail",
    "validators",
)


def describe() -> dict[str, Any]:
    """Date (UTC), cores, CPU model, memory, kernel, Python, load before the start, and the versions of packages."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _first(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        if name == "mailvet":  # a checkout that is not installed
            from mailvet import __version__

            return __version__
        return None


def _first(path: Path, key: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), None)


def _memory() -> str | None:
    total = _first(Path("/proc/meminfo"), "MemTotal")
    return f"{int(total.split()[0]) / 1024**2:.0f} GiB" if total else None
