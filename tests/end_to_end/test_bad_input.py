"""Whatever is wrong: one clear paragraph, the right exit code, no traceback, nothing half-written, no address."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailvet.lab import Lab, World
from tests.end_to_end.conftest import PEOPLE, Done, make_table, rows, start, write_config
from tests.probing import asked

Call = Callable[..., Done]
Fails = Callable[..., None]
TABLE = ("verify", "crm.duckdb", "--table", "contacts")
FILE = ("verify", "list.csv", "--output", "out.csv")


def one_paragraph(done: Done, code: int, says: str) -> None:
    """The exit code, and exactly one sentence or two on stderr that say so."""
    assert (done.code, done.out) == (code, ""), done
    text = done.err.strip()
    assert says in " ".join(text.split())
    assert "Traceback" not in text
    assert "\n\n" not in text
    assert len(text) < 1500
    for secret in ("secret.person", "secret_person"):
        assert secret not in text


def folder_state(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes, but for the settings and the store of verdicts."""
    ours = ("mailvet.toml", "verdicts.duckdb", "verdicts.duckdb.wal")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in ours}


@pytest.fixture
def call(config: Path, here: Path, mailvet_command: Call) -> Fails:
    """A command that fails, and the sentence it says; the folder stays as it was."""

    def failing(code: int, says: str, *arguments: object) -> None:
        before = folder_state(here)
        one_paragraph(mailvet_command(*arguments), code, says)
        assert folder_state(here) == before

    return failing


@pytest.fixture
def crm(here: Path) -> Path:
    path = here / "crm.duckdb"
    make_table(path, ["secret.person@acme.test", None])
    return path


@pytest.fixture
def csv_file(here: Path) -> Callable[..., Path]:
    def make(content: str | bytes = "id,email\n1,secret.person@acme.test\n", name: str = "list.csv") -> Path:
        (here / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return here / name

    return make


# -------------------------------------------------------------------- sources


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "none.csv", "--output", "out.csv"), "There is no file none.csv"),
        (("verify", "none.duckdb", "--table", "t"), "There is no file none.duckdb"),
        (("verify", "none"), "There is no file none"),
        (("verify", "."), "neither a DuckDB database nor a file of a known kind"),
        (("plan", "none.csv"), "There is no file none.csv"),
        (("verify", "postgresql+nothing://host/db", "--table", "t"), "database in the URL"),
        (("verify", "https://example.com/list.csv", "--output", "out.csv"), "https://"),
        (("verify", "secret.person@acme.test"), "mailvet check"),
        (("verify", "crm.duckdb"), "name the table to verify with --table"),
        (("verify", "crm.duckdb", "--table", "people"), "no table people in crm.duckdb; there are: contacts, digits"),
        (("verify", "crm.duckdb", "--table", "numbers"), "holds INTEGER, not text"),
        (("verify", "crm.duckdb", "--table", "digits"), "is a number"),
        (("plan", "crm.duckdb", "--table", "digits"), "is a number"),
        (("verify", "crm.duckdb", "--table", "two"), "Which column of two holds the addresses?"),
        (("verify", "crm.duckdb", "--table", "contacts", "--email-column", "mail"), "no column mail in contacts"),
        (("verify", "crm.duckdb", "--table", "looked_at"), "looked_at is a view"),
        ((*TABLE, "--where", "nonsense = 1"), "--where does not work on contacts"),
        ((*TABLE, "--where", "1 = 1); drop table contacts; --"), "--where"),
        (("verify", "text.db", "--table", "t"), "neither a DuckDB database nor a file of a known kind"),
        (("verify", "text.db"), "neither a DuckDB database nor a file of a known kind"),
    ],
)
def test_a_source_that_cannot_be(call: Fails, crm: Path, here: Path, arguments: tuple[str, ...], says: str) -> None:
    with duckdb.connect(str(crm)) as db:
        db.execute("create table numbers as select 1 as email")
        db.execute("create table digits as select '49170' as email")
        db.execute("create table two (email varchar, mail varchar)")
        db.execute("create view looked_at as from contacts")
    (here / "text.db").write_text("email\nsecret.person@acme.test\n" * 50)
    call(2, says, *arguments)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty: there is not even a header line"),
        ("email\nsecret_person.jörg@acme.test\n".encode("latin-1"), "is not UTF-8 text in line 2"),
        (b"id,email\n1,secret.person@acme.test,more\n", "another number of columns than its header in line 2"),
        (b'id,email\n1,"secret.person@acme.test\n2,x\n', "unclosed quotation mark"),
        (b"id,email\n1,2\n2,03\n", "is a number"),
        (b"id,name\n1,secret.person@acme.test\n", "Which column of list.csv holds the addresses?"),
        (b"email,email\nsecret.person@acme.test,x\n", "more than one column called email"),
        (b"\n\n", "has no header line"),
        (b"\x00\x01\x02\x03" * 100, "list.csv"),
    ],
)
def test_a_file_that_cannot_be_read(call: Fails, csv_file: Callable[..., Path], content: bytes, says: str) -> None:
    csv_file(content)
    call(2, says, *FILE)


def test_what_is_called_parquet_or_json_but_is_not(call: Fails, csv_file: Callable[..., Path]) -> None:
    for name in ("list.parquet", "list.jsonl", "list.csv.gz", "list.csv.zst"):
        csv_file("id,email\n1,secret.person@acme.test\n", name)
        call(2, name, "verify", name, "--output", "out.csv")


def test_a_parquet_column_of_numbers(call: Fails, here: Path) -> None:
    pq.write_table(pa.table({"email": [1, 2]}), here / "list.parquet")
    call(2, "holds BIGINT, not text", "verify", "list.parquet", "--output", "out.csv")


def test_the_encoding_that_is_named_cures_a_broken_one(
    config: Path, here: Path, csv_file: Callable[..., Path], mailvet_command: Call
) -> None:
    csv_file("id;email\n1;jörg@null.test\n".encode("latin-1"))
    assert mailvet_command(*FILE, "--depth", "dns").code == 2
    assert not (here / "out.csv").exists()
    assert mailvet_command(*FILE, "--depth", "dns", "--encoding", "latin-1").code == 0
    assert (here / "out.csv").read_text("latin-1").splitlines()[1].startswith("1;jörg@null.test;undeliverable;null_mx;")


@pytest.mark.parametrize(
    "content",
    [
        "id,email",
        "id,email\n",
        "email\n",
        "\ufeffid,email\n1,x@null.test\n",
        "id,email\n1," + "x" * 10_000_000 + "@null.test\n",
        "id,email\n\x00,a\x00b@null.test\n\x1b[31m,\x07@null.test\n",
        "id,email\n1,=cmd|' /C calc'!A0\n2,@SUM(1+1)*cmd|x\n3,+1@gmial.com\n4,-2@gmial.con\n",
        "id,email\n1,\u202ettest.llun@x\n2,\U000e0041@null.test\n3,a@b@c@null.test\n",
        "id,email\n1,'; drop table mailvet_verdicts; --\n2,%s%n%x{}\n3,[bold]x[/]@null.test\n",
    ],
    ids=[
        "no rows",
        "no rows, line end",
        "one column",
        "byte order mark",
        "ten megabytes",
        "control characters",
        "formulas",
        "tricks of Unicode",
        "tricks of languages",
    ],
)
def test_strange_cells_are_no_error_and_come_back_unchanged(
    config: Path, here: Path, csv_file: Callable[..., Path], mailvet_command: Call, content: str
) -> None:
    csv_file(content)
    done = mailvet_command(*FILE, "--depth", "dns")
    assert (done.code, done.err) == (0, "")
    lines = (here / "out.csv").read_text().split("\n")
    given = content.removeprefix("\ufeff").rstrip("\n").split("\n")
    assert len(lines) == len(given) + 1
    for line, before in zip(lines[1:], given[1:], strict=False):
        assert line.startswith(before + ","), "cells are given back as they came"
        suggestion = line.removeprefix(before).split(",")[5]
        assert not suggestion.startswith(("=", "+", "-", "@", "\t"))


def test_a_utf_16_file_is_read_by_its_mark(
    config: Path, here: Path, csv_file: Callable[..., Path], mailvet_command: Call
) -> None:
    csv_file("id\temail\r\n1\tjörg@null.test\r\n".encode("utf-16"))
    assert mailvet_command(*FILE, "--depth", "dns").code == 0
    assert "jörg@null.test,undeliverable" in (here / "out.csv").read_text("utf-16")


# -------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (FILE[:2], "say where the result goes with --output"),
        ((*FILE[:3], "out.ods"), "must end in one of .csv"),
        ((*FILE[:3], "none/out.csv"), "there is no folder"),
        ((*FILE[:3], "folder.csv"), "is a folder"),
        ((*FILE, "--table", "t"), "--table goes with a database"),
        ((*FILE, "--split-by", "colour"), "--split-by colour: choose one of recommendation, status, reason"),
        ((*FILE, "--columns", "status,colour"), "no status column 'colour'"),
        ((*FILE, "--key-column", "nr"), "no column nr in list.csv"),
        ((*FILE, "--wait", "a while"), "--wait: 'a while' is no duration"),
        ((*FILE, "--max-undeliverable-rate", "many"), "--max-undeliverable-rate: 'many' is no share"),
        ((*FILE, "--depth", "deep"), "'deep' is not one of 'offline', 'dns', 'smtp'"),
        ((*FILE, "--policy", "spam"), "'spam' is no policy; there are: marketing"),
        ((*FILE, "--encoding", "klingon"), "no such encoding"),
        ((*FILE, "--config", "none.toml"), "There is no configuration file none.toml"),
        ((*FILE, "--config", "bad.toml"), "smtp.prot is no setting"),
        ((*FILE, "--colour"), "No such option: --colour"),
        (("verify", "list.csv", "--output", "list.csv", "--where", "id = '1'"), "is the input itself"),
        ((*TABLE, "--split-by", "status"), "--split-by needs --output"),
        ((*TABLE, "--key-column", "id"), "--key-column needs --output"),
        (("verify",), "Missing argument"),
        (("certify",), "No such command"),
    ],
)
def test_an_option_that_cannot_be(
    call: Fails, crm: Path, here: Path, csv_file: Callable[..., Path], lab: Lab, arguments: tuple[str, ...], says: str
) -> None:
    csv_file()
    (here / "folder.csv").mkdir()
    (here / "bad.toml").write_text("[smtp]\nprot = 25\n")
    call(2, says, *arguments)
    assert asked(lab) == {}


def test_the_output_may_be_the_input(
    config: Path, here: Path, csv_file: Callable[..., Path], mailvet_command: Call
) -> None:
    path = csv_file("id,email\n007,x@null.test\n")
    for _ in range(2):
        assert (
            mailvet_command("verify", "list.csv", "--output", "list.csv", "--depth", "dns", "--columns", "status").code
            == 0
        )
        assert path.read_text() == "id,email,mailvet_status\n007,x@null.test,undeliverable\n"


# -------------------------------------------------------------------- places that cannot be written to


def powerless() -> None:
    """Let root, too, be bound by the rights of files: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    drop = 24  # PR_CAPBSET_DROP
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


def powerless_call(here: Path, *arguments: str) -> Done:
    run = start(*arguments, folder=here, preexec_fn=powerless)
    out, err = run.communicate(timeout=60)
    return Done(run.returncode, out, err)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        path.chmod(before)


def test_a_database_that_is_read_only(config: Path, crm: Path, here: Path) -> None:
    with read_only(crm):
        one_paragraph(powerless_call(here, *TABLE, "--depth", "offline"), 2, "crm.duckdb is read-only")


def test_a_folder_that_is_read_only(config: Path, here: Path, csv_file: Callable[..., Path]) -> None:
    csv_file()
    locked = here / "locked"
    locked.mkdir()
    with read_only(locked):
        done = powerless_call(here, *FILE[:3], "locked/out.csv", "--depth", "offline")
        one_paragraph(done, 2, "may not be written to")
    make_table(locked / "crm.duckdb", ["secret.person@acme.test"])
    with read_only(locked):
        done = powerless_call(here, "verify", "locked/crm.duckdb", "--table", "contacts", "--depth", "offline")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "locked" in done.err or "crm.duckdb" in done.err
    assert "secret.person" not in done.err


def test_a_store_that_cannot_be_made(
    config: Path, here: Path, csv_file: Callable[..., Path], mailvet_command: Call
) -> None:
    csv_file()
    config.write_text(config.read_text().replace("verdicts.duckdb", "/proc/none/verdicts.duckdb"))
    one_paragraph(mailvet_command(*FILE, "--depth", "offline"), 2, "Set store.path")
    assert not (here / "out.csv").exists()


def test_a_file_that_may_not_be_read(config: Path, here: Path, csv_file: Callable[..., Path]) -> None:
    path = csv_file()
    path.chmod(0o000)
    try:
        one_paragraph(powerless_call(here, *FILE, "--depth", "offline"), 2, "cannot be read: Permission denied")
    finally:
        path.chmod(0o600)


def test_a_database_held_by_another_process(call: Fails, crm: Path) -> None:
    program = f"import duckdb, sys; db = duckdb.connect({str(crm)!r}); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        call(2, f"crm.duckdb is open in another program (process {holder.pid})", *TABLE)
        call(2, "is open in another program", "plan", "crm.duckdb", "--table", "contacts")
    finally:
        holder.communicate("")


# -------------------------------------------------------------------- this machine and its network


def test_without_a_host_name_of_our_own_nobody_is_asked(
    config: Path, crm: Path, lab: Lab, mailvet_command: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "hello_name" not in line))
    before = crm.read_bytes()
    for name in ("localhost", "mybox", "mybox.local", "mybox.nowhere.test"):
        monkeypatch.setattr("mailvet.settings.socket.getfqdn", lambda name=name: name)
        done = mailvet_command(*TABLE)
        one_paragraph(done, 3, "Not started:")
        assert name in done.err
        assert "smtp.hello_name" in " ".join(done.err.split())
    assert crm.read_bytes() == before
    assert asked(lab) == {}
    assert mailvet_command(*TABLE, "--depth", "dns").code == 0


def test_without_a_resolver_what_needs_none_is_saved_and_the_run_is_degraded(
    config: Path, here: Path, mailvet_command: Call, lab: Lab
) -> None:
    make_table(here / "crm.duckdb", ["ann@acme.test", "nonsense", None, "ann@mailinator.com", "bob@acme.test"])
    good = config.read_text()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        config.write_text(
            good.replace(f"port = {lab.nameserver[1]}", f"port = {port}")
            .replace("timeout = 1.0", "timeout = 0.2")
            .replace("lifetime = 3.0", "lifetime = 0.3")
        )
        done = mailvet_command(*TABLE)
        checked = mailvet_command("check", "ann@acme.test")
    assert done.code == checked.code == 3
    assert "Degraded: No DNS answers: 127.0.0.1 did not reply." in done.out
    assert "no resolver answers" in checked.err
    found = rows(here / "crm.duckdb", "select mailvet_reason, mailvet_recommendation from contacts order by id")
    assert found == [
        ("not_probed", "reverify"),
        ("syntax_invalid", "do_not_send"),
        (None, None),
        ("disposable", "do_not_send"),
        ("not_probed", "reverify"),
    ]
    assert rows(here / "crm.duckdb", "select health like 'No DNS answers%' from mailvet_runs") == [(True,)]
    # Nothing is lost: once the hour is over, the same run asks what could not be asked.
    config.write_text(good)
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute("update mailvet_verdicts set next_check_at = next_check_at - interval 61 minutes")
    assert mailvet_command(*TABLE).code == 0
    assert rows(here / "crm.duckdb", "select count(*) from contacts where mailvet_reason = 'not_probed'") == [(0,)]


def test_a_resolver_that_invents_addresses_proves_no_domain_dead_or_alive(
    here: Path, mailvet_command: Call, mailvet_lab_factory: Callable[..., Lab]
) -> None:
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]).mailbox("ann@acme.test")
    world.rewrites_nxdomain = "127.9.9.9"
    lab = mailvet_lab_factory(world)
    write_config(lab, here)
    make_table(here / "crm.duckdb", ["ann@acme.test", "ann@nowhere.test"])
    done = mailvet_command(*TABLE)
    assert done.code == 3
    assert "Degraded: The resolver answers 127.9.9.9 for names that do not exist" in done.out
    found = rows(here / "crm.duckdb", "select mailvet_reason from contacts order by id")
    assert found == [("mailbox_accepted",), ("dns_error",)]


def test_where_no_server_can_be_reached_port_25_is_named(
    here: Path, mailvet_command: Call, mailvet_lab_factory: Callable[..., Lab]
) -> None:
    world = World()
    for number in range(3):
        world.host(f"mx.d{number}.test", "port_closed").domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    world.host("mx.open.test").domain("open.test", [(10, "mx.open.test")])
    lab = mailvet_lab_factory(world)
    write_config(lab, here)
    make_table(here / "crm.duckdb", [f"ann@d{number}.test" for number in range(3)] + ["nonsense"])
    done = mailvet_command(*TABLE)
    assert done.code == 3
    assert "(port 25) is probably closed here" in " ".join(done.out.split())
    found = rows(
        here / "crm.duckdb",
        "select distinct mailvet_status, mailvet_recommendation from contacts where email like 'ann%'",
    )
    assert found == [("unknown", "reverify")]


def test_a_degraded_run_is_not_a_failed_gate(
    here: Path, mailvet_command: Call, mailvet_lab_factory: Callable[..., Lab]
) -> None:
    world = World()
    for number in range(2):
        world.host(f"mx.d{number}.test", "port_closed").domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    write_config(mailvet_lab_factory(world.host("mx.x.test")), here)
    make_table(here / "crm.duckdb", ["ann@d0.test", "ann@d1.test", "nonsense", PEOPLE[0].replace("@acme", "@nowhere")])
    assert mailvet_command(*TABLE, "--max-undeliverable-rate", "1%").code == 3
