"""The lab itself: it puts a world on loopback, in a thread of this process with an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mailvet.errors import MailvetError
from mailvet.lab.counters import Counters
from mailvet.lab.dns import NameServer, Zone
from mailvet.lab.faulty_resolver import FaultyResolver
from mailvet.lab.listening import NAME_SERVER, MailListeners, bind_mail_servers, bind_name_server
from mailvet.lab.mail_server import MailServer
from mailvet.lab.world import HELLO_NAME, MAIL_FROM, Truth, World
from mailvet.private_files import replaces

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lab", "serve"]

_T = TypeVar("_T")


class Lab:
    """A running mail world.

    Use it as a context manager, or call `start` and `stop`.

    `world` defaults to `default_world(seed)`. `latency` (seconds) is how long every DNS response and every turn
    of an SMTP conversation takes; `greylist_delay` (seconds) is how long greylisting hosts make a sender
    wait; `resolver` makes the DNS server fail or lie as a whole. Every mail server has its own address in
    127.0.0.0/8 and all share one unprivileged port, so a lab needs Linux, or a machine where those addresses
    were added to the loopback interface.

    >>> with Lab(World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])) as lab:
    ...     lab.truth("ann@acme.test").kind
    'unknown_mailbox'
    """

    def __init__(
        self,
        world: World | None = None,
        latency: float = 0.0,
        seed: int = 7,
        *,
        greylist_delay: float = 1.5,
        resolver: FaultyResolver | None = None,
    ) -> None:
        if world is None:
            from mailvet.lab.build_default import default_world

            world = default_world(seed)
        self.world = world
        self.latency = latency
        self.greylist_delay = greylist_delay
        self.ipv6 = False
        self._resolver = resolver
        self._zone: Zone | None = None
        self._servers: dict[str, MailServer] = {}
        self._listeners: MailListeners | None = None
        self._outage: tuple[int, float | None] | None = None
        self._dns_port = 0
        self._smtp_port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # ---------------------------------------------------------------- life
    def start(self) -> Lab:
        """Bind every socket and begin to serve. Raises MailvetError when that cannot be."""
        if self._thread is not None:
            raise MailvetError("this lab is already running; stop it first.")
        udp, tcp, self._dns_port = bind_name_server()
        try:
            bound, self._smtp_port, self.ipv6 = bind_mail_servers(self.world)
        except MailvetError:
            udp.close()
            tcp.close()
            raise
        self._zone = Zone(self.world, self._resolver)
        served = self.world.served()
        self._servers = {
            name: MailServer(self.world, host, served[name], latency=self.latency, greylist_delay=self.greylist_delay)
            for name, host in self.world.hosts.items()
        }
        self._listeners = MailListeners(self._servers, bound, self._smtp_port)
        names = NameServer(self._zone, udp, tcp, self.latency)
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, names, self._listeners, ready), name="mailvet-lab", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Close every connection and socket. Counters can still be read. Does nothing when not running."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = self._loop = None

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        names: NameServer,
        listeners: MailListeners,
        ready: threading.Event,
    ) -> None:
        asyncio.set_event_loop(loop)
        outage, self._outage = self._outage, None

        async def begin() -> None:
            await names.start()
            await listeners.open()
            if outage is not None:
                listeners.plan_outage(*outage)

        async def end() -> None:
            await names.stop()
            listeners.close()
            # Two turns of the loop: one for the transports to close, one for what that cancels.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        try:
            loop.run_until_complete(begin())
            ready.set()
            loop.run_forever()
            loop.run_until_complete(end())
        finally:
            ready.set()
            loop.close()

    # ---------------------------------------------------------------- addresses
    @property
    def nameserver(self) -> tuple[str, int]:
        """Address and port of the DNS server, UDP and TCP."""
        return NAME_SERVER, self._dns_port

    @property
    def smtp_port(self) -> int:
        """The port of every mail server."""
        return self._smtp_port

    def config(self) -> str:
        """The text of a mailvet.toml that makes mailvet ask this lab."""
        address, port = self.nameserver
        return (
            "# Written by the mailvet lab, a mail world on loopback. Valid while that lab runs.\n"
            'depth = "smtp"\n'
            "\n[dns]\n"
            f'nameservers = ["{address}"]\n'
            f"port = {port}\n"
            "timeout = 1.0\n"
            "lifetime = 3.0\n"
            "\n[smtp]\n"
            f"port = {self.smtp_port}\n"
            f'hello_name = "{HELLO_NAME}"\n'
            f'mail_from = "{MAIL_FROM}"\n'
            'allow_private_networks = ["127.0.0.0/8", "::1/128"]\n'
            "connect_timeout = 2.0\n"
            f"command_timeout = {self.world.command_timeout}\n"
            f"address_budget = {self.world.address_budget}\n"
            "\n[retry]\n"
            'after_greylisting = ["2s", "4s"]\n'
        )

    def write_config(self, path: str | os.PathLike[str]) -> None:
        """Write `config` to a file, complete or not at all."""
        _write(Path(path), self.config())

    # ---------------------------------------------------------------- what is so, what was done
    def truth(self, address: str | None) -> Truth:
        """What is really so about the address in a cell of text."""
        return self.world.truth(address, ipv6=self.ipv6)

    def counters(self) -> dict[str, Counters]:
        """What clients did so far, by name of the mail server; every server is there."""
        return self._ask(lambda: {name: server.counters.copy() for name, server in self._servers.items()})

    def counters_by_address(self) -> dict[str, Counters]:
        """What clients did so far, by IP address of the mail server, whatever names lead there.

        A server that listens on ::1 as well is counted once, under its IPv4 address where it has one.
        """
        hosts = self.world.hosts
        return {
            hosts[name].address if hosts[name].ipv4 else "::1": counters for name, counters in self.counters().items()
        }

    def plan_outage(self, after: int = 0, seconds: float | None = None) -> None:
        """Let all mail servers refuse connections, for so many seconds or for good.

        It begins when `after` more recipients were asked, counted over all servers; before the lab runs, from the
        start. Open conversations are cut, the reply to that recipient with them.
        """
        listeners = self._listeners
        if listeners is None or self._loop is None:
            self._outage = (after, seconds)
        else:
            self._ask(lambda: listeners.plan_outage(after, seconds))

    def end_outage(self) -> None:
        """End the outage that is on or was planned."""
        self._outage = None
        listeners = self._listeners
        if listeners is not None and self._loop is not None:
            self._ask(listeners.end_outage)

    @property
    def down(self) -> bool:
        """Whether an outage is on."""
        return self._listeners is not None and self._listeners.down

    def resolve_by(self, resolver: FaultyResolver | None) -> None:
        """Let the DNS server respond as another resolver does from now on; None for a true one."""
        self._resolver = resolver
        zone = self._zone
        if zone is not None:
            self._ask(lambda: zone.resolve_by(resolver))

    def dns_queries(self) -> Counter[tuple[str, str]]:
        """How often each (name, type) was asked; names in lower case without the final dot."""
        zone = self._zone
        return self._ask(lambda: zone.queries) if zone is not None else Counter()

    def reset_counters(self) -> None:
        """Start counting anew; connections that are open stay counted as open. Greylists are kept."""

        def reset() -> None:
            for server in self._servers.values():
                server.counters = Counters(peak_connections=server.active)
                for session in server.sessions:
                    session.counters = server.counters
            if self._zone is not None:
                self._zone.forget_counts()

        self._ask(reset)

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Run in the lab's thread while there is one, so that nothing changes underneath."""
        loop = self._loop
        if loop is None:
            return question()

        async def result() -> _T:
            return question()

        return asyncio.run_coroutine_threadsafe(result(), loop).result()


def serve(lab: Lab, config_path: str | os.PathLike[str], counters_path: str | os.PathLike[str] | None = None) -> None:
    """Run a lab until SIGINT or SIGTERM, from the main thread.

    The configuration appears at `config_path` once every server is up. On the way out the counters are written as
    JSON: `{"hosts": {name: {...}}, "dns": {"name type": n}}`, hosts without a connection left out.
    """
    over = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        over.set()

    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with lab:
            lab.write_config(config_path)
            over.wait()
        if counters_path is not None:
            hosts = {name: counters.as_dict() for name, counters in lab.counters().items() if counters.connections}
            queries = {f"{name} {type}": times for (name, type), times in lab.dns_queries().items()}
            _write(
                Path(counters_path),
                json.dumps({"hosts": hosts, "dns": queries}, indent=1, ensure_ascii=False),
            )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(path: Path, text: str) -> None:
    # A reader that waits for the file must never see half of it.
    with replaces(path) as partial:
        partial.write_text(text, encoding="utf-8")
