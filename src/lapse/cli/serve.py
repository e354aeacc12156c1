"""`lapse serve`: a page and a REST interface that compare two films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.answer import GuardOptions, ModelArgument
from lapse.core.extras import check_extra


def serve_command(
    model: ModelArgument = "",
    *,
    guard: GuardOptions,
    host: Annotated[
        str,
        typer.Option(
            help="IP address to listen on. An address that other machines can reach needs "
            "--token-file."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that requests must carry, readable for its owner only."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another accepted host NAME or NAME:PORT, such as that of a proxy. Repeatable."
        ),
    ] = None,
) -> None:
    """Serve a page and a REST interface for two films of one patient. Research use only.

    Films stay in memory for 15 minutes after their last use. No file is written.
    """
    check_extra("serve", ["fastapi", "uvicorn"], "lapse serve")
    from lapse.serve.server import ServeOptions, run_server
    from lapse.serve.service import ServedModel

    served = ServedModel(model, not guard.unguarded, guard.allow_unusual)
    run_server(ServeOptions(served, host, port, token_file, tuple(allow_host or ())))
