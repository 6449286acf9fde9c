"""Clients that speak to a lab over raw sockets."""

from __future__ import annotations

import socket

import dns.message
import dns.query

from mailvet.lab import Lab
from mailvet.lab.world import HELLO_NAME, MAIL_FROM

__all__ = ["Client", "answers", "query"]


class Client:
    """A mail client that speaks to one host of a lab line by line."""

    def __init__(self, lab: Lab, host: str = "mx.acme.test", timeout: float = 5.0) -> None:
        entry = lab.world.hosts[host]
        address = entry.address if entry.ipv4 else "::1"
        self.socket = socket.create_connection((address, lab.smtp_port), timeout)
        self.file = self.socket.makefile("rb")

    def reply(self) -> str:
        """The next reply, lines joined with a newline; "" when the server has closed."""
        lines = []
        while True:
            line = self.file.readline().decode("utf-8")
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, text: str) -> str:
        self.socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def greet(self) -> Client:
        self.reply()
        self.say(f"EHLO {HELLO_NAME}")
        self.say(f"MAIL FROM:<{MAIL_FROM}>")
        return self

    def ask(self, address: str) -> str:
        return self.say(f"RCPT TO:<{address}>")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def quit(self) -> None:
        self.say("QUIT")
        self.close()


def query(lab: Lab, name: str, type: str = "MX", *, tcp: bool = False, **options: object) -> dns.message.Message:
    """The answer of the lab's name server, sent once."""
    message = dns.message.make_query(name, type, **options)  # type: ignore[arg-type]
    address, port = lab.nameserver
    if tcp:
        return dns.query.tcp(message, address, timeout=2, port=port)
    return dns.query.udp(message, address, timeout=0.5, port=port)


def answers(message: dns.message.Message) -> list[str]:
    return sorted(str(record) for rrset in message.answer for record in rrset)
