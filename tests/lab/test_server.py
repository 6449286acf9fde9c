"""Starting and stopping a lab, its configuration and its fixtures."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import pytest

from mailvet.errors import MailvetError
from mailvet.lab import Lab
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from tests.lab.lab_client import Client, answers, query
from tests.lab.worlds import ANN, UNKNOWN, asked, one_server


def test_two_labs_do_not_meet() -> None:
    with Lab(one_server()) as first, Lab(one_server("catch_all")) as second:
        assert first.smtp_port != second.smtp_port
        assert first.nameserver != second.nameserver
        assert asked(first, UNKNOWN)[0].startswith("550")
        assert asked(second, UNKNOWN)[0].startswith("250")
        assert first.counters()["mx.acme.test"].connections == 1


def test_a_stopped_lab_leaves_nothing_behind_and_can_start_again() -> None:
    before = threading.active_count()
    lab = Lab(one_server()).start()
    with pytest.raises(MailvetError, match="already running"):
        lab.start()
    client = Client(lab)
    client.reply()
    lab.stop()
    lab.stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        Client(lab)
    client.close()
    assert lab.counters()["mx.acme.test"].connections == 1
    assert lab.counters()["mx.acme.test"].aborted == 0
    with lab:
        assert asked(lab, ANN)[0].startswith("250")


def test_the_configuration_leads_to_the_lab(tmp_path: Path) -> None:
    toml = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    with Lab(one_server()) as lab:
        lab.write_config(tmp_path / "mailvet.toml")
        config = toml.loads((tmp_path / "mailvet.toml").read_text(encoding="utf-8"))
        assert config["depth"] == "smtp"
        assert (config["dns"]["nameservers"], config["dns"]["port"]) == (
            [lab.nameserver[0]],
            lab.nameserver[1],
        )
        assert config["smtp"]["port"] == lab.smtp_port
        assert config["smtp"]["allow_private_networks"] == ["127.0.0.0/8", "::1/128"]
        assert config["retry"]["after_greylisting"] == ["2s", "4s"]
        hello = config["smtp"]["hello_name"]
        address = answers(query(lab, hello, "A"))[0]
        assert answers(query(lab, str(dns.reversename.from_address(address)), "PTR")) == [f"{hello}."]
    assert os.listdir(tmp_path) == ["mailvet.toml"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_served_lab_writes_its_counters_when_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    program = textwrap.dedent(
        """
        import sys
        from mailvet.lab import Lab, World, serve
        world = World().host("mx.acme.test").host("mx2.acme.test").domain("acme.test", [(10, "mx.acme.test")])
        serve(Lab(world.mailbox("ann@acme.test")), sys.argv[1], sys.argv[2])
        """
    )
    config, counted = tmp_path / "mailvet.toml", tmp_path / "counters.json"
    child = subprocess.Popen([sys.executable, "-c", program, str(config), str(counted)])
    try:
        deadline = time.monotonic() + 20
        while not config.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        ports = [int(line.split("=")[1]) for line in config.read_text().splitlines() if line.startswith("port")]
        dns.query.udp(dns.message.make_query("acme.test", "MX"), "127.0.0.1", timeout=2, port=ports[0])
        with smtplib.SMTP("127.77.0.2", ports[1], HELLO_NAME, timeout=5) as client:
            client.ehlo()
            client.mail(MAIL_FROM)
            assert client.rcpt(ANN)[0] == 250
        child.send_signal(number)
        assert child.wait(10) == 0
    finally:
        child.kill()
    written = json.loads(counted.read_text(encoding="utf-8"))
    assert list(written["hosts"]) == ["mx.acme.test"]
    assert written["hosts"]["mx.acme.test"]["recipients"] == {ANN: 1}
    assert written["hosts"]["mx.acme.test"]["data"] == 0
    assert written["dns"] == {"acme.test MX": 1}


def test_the_plug_in_costs_nothing_until_a_fixture_is_used() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import mailvet.lab.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if not name.startswith("mailvet")} <= {
        "importlib",
        "typing",
        "collections.abc",
    }
    assert not {"mailvet.lab.server", "mailvet.lab.world", "mailvet.lab.dns"} & set(loaded)


def test_the_fixtures_start_labs_and_stop_them(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import threading
            from mailvet.lab import World

            def labs():
                return sum(thread.name == "mailvet-lab" for thread in threading.enumerate())

            def test_own_world(mailvet_lab_factory):
                world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
                lab = mailvet_lab_factory(world, latency=0.01)
                assert lab.latency == 0.01
                assert labs() == 1

            def test_it_has_stopped(mailvet_lab):
                assert labs() == 1
                assert mailvet_lab.truth("x@gmail.com").kind == "unknown_mailbox"
            """
        )
    )
    # Named by hand only where mailvet is not installed with its entry point.
    from importlib.metadata import entry_points

    named = (
        []
        if any(entry.name == "mailvet" for entry in entry_points(group="pytest11"))
        else [
            "-p",
            "mailvet.lab.pytest_plugin",
        ]
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *named,
        "--rootdir",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
