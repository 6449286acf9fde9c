"""Connections to a server address are counted over processes, and freed whatever becomes of a process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mailvet
from mailvet.probing.memory import LocalSlots
from mailvet.probing.slots import SharedSlots, connection_slots, default_folder
from mailvet.settings import Settings

ROOT = Path(mailvet.__file__).parent.parent
ADDRESS, PORT, MOST = "192.0.2.1", 25, 3


def start(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process in which `slots` are those of the folder."""
    program = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom mailvet.probing.slots import SharedSlots\n"
        f"slots = SharedSlots(Path({str(folder)!r}), {PORT})\n" + textwrap.dedent(code)
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


CONNECTING = """
    async def connect(port):
        release = await slots.acquire("192.0.2.1", 3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.01)
        writer.write_eof()
        await reader.read()  # until the server has counted the end
        writer.close()
        await writer.wait_closed()
        release()

    async def main():
        await asyncio.gather(*(connect(PORT_OF_TEST) for _ in range(30)))

    asyncio.run(main())
"""


async def test_processes_together_never_exceed_the_cap_and_all_have_their_turn(tmp_path: Path) -> None:
    active = peak = total = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal active, peak, total
        active, total = active + 1, total + 1
        peak = max(peak, active)
        await reader.read()
        active -= 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    processes = [start(tmp_path, CONNECTING.replace("PORT_OF_TEST", str(port))) for _ in range(3)]
    try:
        codes = await asyncio.gather(*(asyncio.to_thread(process.wait, 60) for process in processes))
    finally:
        server.close()
        for process in processes:
            process.kill()
    assert codes == [0, 0, 0]
    assert total == 90
    assert 1 < peak <= MOST
    assert [path.name for path in tmp_path.iterdir()] == ["salt"], "files of connections that are over"


async def test_the_kernel_frees_what_a_killed_process_held(tmp_path: Path) -> None:
    holder = start(
        tmp_path,
        """
        async def main():
            held = [await slots.acquire("192.0.2.1", 3) for _ in range(3)]
            print("held", flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """,
    )
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        slots = SharedSlots(tmp_path, PORT)
        waiting = asyncio.ensure_future(slots.acquire(ADDRESS, MOST))
        other = await slots.acquire("192.0.2.2", MOST)
        assert not waiting.done()
        holder.send_signal(signal.SIGKILL)
        release = await asyncio.wait_for(waiting, 10)
        release()
        other()
    finally:
        holder.kill()


async def test_two_runs_of_one_process_share_the_cap_too(tmp_path: Path) -> None:
    one, two = SharedSlots(tmp_path, PORT), SharedSlots(tmp_path, PORT)
    held = [await one.acquire(ADDRESS, 2), await two.acquire(ADDRESS, 2)]
    waiting = asyncio.ensure_future(two.acquire(ADDRESS, 2))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    held[0]()
    held[0]()  # twice does no harm
    (await asyncio.wait_for(waiting, 5))()
    held[1]()


async def test_another_port_is_another_server(tmp_path: Path) -> None:
    held = [await SharedSlots(tmp_path, port).acquire(ADDRESS, 1) for port in (25, 2525)]
    for release in held:
        release()


async def test_who_is_cancelled_while_waiting_leaves_its_place(tmp_path: Path) -> None:
    one, two = SharedSlots(tmp_path, PORT), SharedSlots(tmp_path, PORT)
    release = await one.acquire(ADDRESS, 1)
    waiting = asyncio.ensure_future(two.acquire(ADDRESS, 1))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release()
    (await asyncio.wait_for(two.acquire(ADDRESS, 1), 5))()


async def test_a_forked_process_holds_nothing(tmp_path: Path) -> None:
    slots = SharedSlots(tmp_path, PORT)
    release = await slots.acquire(ADDRESS, 1)
    child = os.fork()
    if child == 0:
        time.sleep(20)
        os._exit(0)
    try:
        release()
        (await asyncio.wait_for(SharedSlots(tmp_path, PORT).acquire(ADDRESS, 1), 5))()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def test_a_waiting_run_does_not_block_its_event_loop(tmp_path: Path) -> None:
    one, two = SharedSlots(tmp_path, PORT), SharedSlots(tmp_path, PORT)
    release = await one.acquire(ADDRESS, 1)
    waiting = asyncio.ensure_future(two.acquire(ADDRESS, 1))
    turns = 0
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    release()
    (await waiting)()


async def test_names_of_files_tell_no_address(tmp_path: Path) -> None:
    release = await SharedSlots(tmp_path / "a", PORT).acquire(ADDRESS, 1)
    other = await SharedSlots(tmp_path / "b", PORT).acquire(ADDRESS, 1)
    names = [{path.name for path in (tmp_path / folder).iterdir()} - {"salt"} for folder in "ab"]
    assert len(names[0]) == len(names[1]) == 1
    assert names[0] != names[1], "a name can be guessed without the key of the folder"
    assert "192" not in "".join(names[0])
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0
    release()
    other()


# -------------------------------------------------------------------- settings


def _a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "connections"


@pytest.mark.parametrize("place", [_a_file, lambda folder: Path("/proc/mailvet")])
def test_a_folder_that_cannot_be_used_is_a_warning_and_the_run_counts_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Callable[[Path], Path]
) -> None:
    folder = place(tmp_path)
    settings = Settings.load(pacing={"shared_folder": str(folder)})
    with caplog.at_level(logging.WARNING, "mailvet"):
        assert isinstance(connection_slots(settings.pacing, PORT), LocalSlots)
        assert isinstance(connection_slots(settings.pacing, PORT), LocalSlots)
    assert caplog.text.count(str(folder)) == 1
    assert "pacing.shared_folder" in caplog.text


async def test_a_folder_that_vanishes_is_a_warning_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slots = SharedSlots(tmp_path / "there", PORT)
    (tmp_path / "there" / "salt").unlink()
    (tmp_path / "there").rmdir()
    with caplog.at_level(logging.WARNING, "mailvet"):
        for _ in range(2):
            (await slots.acquire(ADDRESS, 1))()
    assert caplog.text.count("not counted over processes") == 1


def test_sharing_can_be_switched_off_and_its_folder_is_beside_the_settings(tmp_path: Path) -> None:
    assert isinstance(connection_slots(Settings.load(pacing={"shared": False}).pacing, PORT), LocalSlots)
    (tmp_path / "mailvet.toml").write_text('[pacing]\nshared_folder = "locks"\n')
    pacing = Settings.load(tmp_path / "mailvet.toml").pacing
    assert pacing.shared_folder == tmp_path / "locks"
    assert isinstance(connection_slots(pacing, PORT), SharedSlots)
    assert default_folder().parts[-2:] == ("mailvet", "connections")
