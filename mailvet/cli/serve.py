"""`mailvet serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.options import Config

__all__ = ["serve"]


def serve(
    config: Config = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="NUMBER", help="Port; 0 takes a free one.", min=0, max=65535)] = 8025,
    workers: Annotated[
        int, typer.Option(metavar="NUMBER", help="Processes; more than one with PostgreSQL only.", min=1, max=64)
    ] = 1,
) -> None:
    """Serve checks over HTTP: one address within a deadline, and batches.

    Example: mailvet serve --port 8025
    """
    from mailvet.cli.arguments import config_file, load_settings
    from mailvet.cli.messages import log_to_stderr
    from mailvet.runs.in_hand import process_in_hand as in_hand
    from mailvet.service.serving import serve as run

    settings = load_settings(config)
    in_hand.advice = "What was known is saved; batches go on when the service is started again."
    log_to_stderr()
    run(settings, config=config_file(config), host=host, port=port, workers=workers)
