import asyncio
import gc
import socket
from contextlib import ExitStack

import pytest
import uvicorn

from lapse.serve.limits import Limits
from lapse.serve.server import ACCEPTS, ServeOptions, Server, run_server
from lapse.serve.service import ServedModel, Service

TOKEN = "t" * 40


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"host": "0.0.0.0"}, "--token-file"),
        ({"host": "::"}, "--token-file"),
        ({"host": "0.0.0.0", "token_file": "open"}, "others can read it"),
        ({"token_file": "open"}, "others can read it"),
        ({"host": "example.org"}, "not an IP address"),
        ({"allowed_hosts": ("http://x",)}, "not a host name"),
    ],
)
def test_an_unsafe_start_is_refused_before_a_model_is_loaded(values, message, tmp_path):
    path = tmp_path / "open"
    path.write_text(TOKEN)
    path.chmod(0o644)
    if "token_file" in values:
        values = {**values, "token_file": path}
    with pytest.raises(ValueError, match=message):
        run_server(ServeOptions(port=0, **values))


def test_a_missing_token_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        run_server(ServeOptions(host="0.0.0.0", port=0, token_file=tmp_path / "missing"))


def start(check):
    """Call `check` with the listening socket of a server, whose loop waits and accepts nothing."""

    async def app(scope, receive, send):
        raise AssertionError

    async def run():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            config = uvicorn.Config(app, backlog=ACCEPTS, lifespan="off", log_config=None)
            config.load()
            server = Server(config, Service(ServedModel(), Limits()))
            server.lifespan = config.lifespan_class(config)
            await server.startup([listener])
            try:
                check(listener)
            finally:
                gc.unfreeze()
                for running in server.servers:
                    running.close()

    asyncio.run(run())


def test_the_system_keeps_more_connections_than_are_accepted_at_once():
    def check(listener):
        with ExitStack() as stack:
            for _ in range(5 * ACCEPTS):
                stack.enter_context(socket.create_connection(listener.getsockname(), timeout=5))

    start(check)


def test_a_garbage_collection_leaves_out_what_exists_at_the_start():
    def check(listener):
        assert len(gc.get_objects()) < gc.get_freeze_count()

    start(check)
