"""The files to operate the service with fit the service: its command, its port, its limits."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from typer.main import get_command

from mailvet.cli import commands
from mailvet.service_settings import Service
from tests.packaging.checkout import ROOT
from tests.programs import require

UNIT = ROOT / "examples/mailvet.service"
NGINX = (ROOT / "examples/nginx.conf").read_text("utf-8")


def options_of_serve() -> dict[str, Any]:
    serve = getattr(get_command(commands.app), "commands", {})["serve"]
    return {name: option for option in serve.params for name in option.opts}


def unit() -> ConfigParser:
    parser = ConfigParser(interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, "utf-8")
    return parser


def test_the_unit_runs_a_command_that_exists() -> None:
    program, command, *more = unit()["Service"]["ExecStart"].split()
    assert (Path(program).name, command) == ("mailvet", "serve")
    assert {word for word in more if word.startswith("-")} <= options_of_serve().keys()


def test_the_service_of_the_unit_may_write_in_one_folder_and_is_not_root() -> None:
    service = unit()["Service"]
    assert service["User"] not in ("root", "0")
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == ("strict", "")
    folder = f"/var/lib/{service['StateDirectory']}"
    assert service["WorkingDirectory"] == folder
    assert set(re.findall(r"=(\S+)", service["Environment"])) == {folder}


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    require("systemd-analyze")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/mailvet/bin/mailvet", "/bin/true"), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert (done.stderr.strip(), done.returncode) == ("", 0)


def test_nginx_leads_to_the_port_and_lets_through_what_the_service_takes() -> None:
    port = options_of_serve()["--port"].default
    assert f"server 127.0.0.1:{port};" in NGINX
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", NGINX)
    assert int(megabytes) * 1024 * 1024 >= Service().largest_body
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)
    assert int(seconds) > 60  # the longest deadline of a request
    (idle,) = re.findall(r"^ +keepalive_timeout (\d+)s;", NGINX, re.MULTILINE)
    assert int(idle) < 10  # after which the service closes a connection


def test_nginx_says_itself_who_asks() -> None:
    assert re.findall(r"X-Forwarded-For (\S+);", NGINX) == ["$remote_addr"]
    for path in ("/metrics", "/readyz"):
        assert re.search(rf"location = {path} {{\s+deny all;", NGINX)


def test_every_line_of_nginx_ends_as_its_grammar_says() -> None:
    lines = [line.split("#")[0].strip() for line in NGINX.splitlines()]
    assert [line for line in lines if line and line[-1] not in ";{}"] == []
    assert NGINX.count("{") == NGINX.count("}")
