"""The HTTP server: uvicorn with limits on connections and headers, and a drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lapse.serve.access import Access, accepted_hosts, check_address, read_token
from lapse.serve.app import build_app
from lapse.serve.errors import ERRORS, ServiceError
from lapse.serve.gate import with_security
from lapse.serve.limits import DEFAULT, Limits
from lapse.serve.service import ServedModel, Service

logger = logging.getLogger(__name__)
BACKLOG = 512  # connections that the system keeps until they are accepted
ACCEPTS = 8  # of them at once; then requests of open connections have their turn
FILES_PER_CONNECTION, OTHER_FILES = 2, 256  # open file descriptors
LINGER_SECONDS = 2.0  # for the rest of a body that was refused
CHECKS = 5  # ticks of uvicorn (0.1 s) between two checks of the connections


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What to serve, and where.

    Attributes:
        model: the model and the options of its answers.
        host: IP address to listen on, or localhost.
        port: 0 for a free one.
        token_file: needed for an address that is not a loopback address.
        allowed_hosts: more names in Host, such as that of a proxy.
    """

    model: ServedModel = field(default_factory=ServedModel)
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()


def run_server(options: ServeOptions, limits: Limits = DEFAULT) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is running and return.

    Raises:
        ValueError: an address without a token, a token file that others can read, or a model that
            cannot be loaded.
        OSError: the port is in use.
    """
    check_address(options.host, options.token_file)
    token = None if options.token_file is None else read_token(options.token_file)
    _allow_files(limits)
    with _listening_socket(options) as listener:
        port = listener.getsockname()[1]
        access = Access(accepted_hosts(options.host, port, options.allowed_hosts), token)
        asyncio.run(_serve(options, access, listener, limits))


async def _serve(
    options: ServeOptions, access: Access, listener: socket.socket, limits: Limits
) -> None:
    service = Service(options.model, limits)
    try:
        await service.start()
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        facts = service.model
        listener.listen(BACKLOG)  # the address that is printed accepts connections
        logger.info("model trained on: %s", facts["trained_on"])
        logger.info("%s", facts["research_use"])
        if facts["allow_unusual"]:
            logger.warning("films that an input check refuses are answered (--allow-unusual)")
        logger.info("page %s   REST %s/docs   (Ctrl+C stops)", url, url)
        server = Server(_config(service, access, limits), service)
        await server.serve([listener])
    finally:
        await service.stop()


def _config(service: Service, access: Access, limits: Limits) -> uvicorn.Config:
    # uvicorn logs addresses, paths and tracebacks; the gate logs what is safe.
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    return uvicorn.Config(
        build_app(service, access),
        http=type("LimitedProtocol", (LimitedProtocol,), {"limits": limits}),
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=ACCEPTS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.drain_seconds),
        h11_max_incomplete_event_size=limits.header_bytes,
    )


class Server(uvicorn.Server):
    """uvicorn, which ends with exit code 0 after a signal, and closes connections that wait."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Keep pauses short: of new connections, and of the garbage collector.

        asyncio has one number for the queue of the system and for what is accepted at once. A full
        collection over all objects of the libraries takes a tenth of a second and more, and many
        new connections cause one; the objects that exist now are left out of it.
        """
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting; a second signal stops at once."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % CHECKS == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.check_time()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new work, then wait for the requests that are running."""
        logger.info("stopping: %d requests are running", len(self.server_state.tasks))
        self._service.uploads.stop()
        await super().shutdown(sockets)


class LimitedProtocol(H11Protocol):
    """A connection with a time limit for its headers, and errors in JSON."""

    limits = DEFAULT

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._waiting_since = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Catch what h11 raises for a client that breaks the protocol twice."""
        try:
            super().data_received(data)
        except h11.ProtocolError:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """From now on the connection waits for the next request."""
        self._waiting_since = time.monotonic()
        super().on_response_complete()

    def check_time(self) -> None:
        """Close a connection that waits for headers, or that sends a refused body, for too long."""
        if self.cycle is not None and not self.cycle.response_complete:
            return
        is_sending = self.cycle is not None and self.conn.their_state is h11.SEND_BODY
        limit = LINGER_SECONDS if is_sending else self.limits.header_seconds
        if time.monotonic() - self._waiting_since > limit:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        del msg  # uvicorn's text
        cause = sys.exc_info()[1]
        is_large = getattr(cause, "error_status_hint", 400) == 431
        code = "headers-too-large" if is_large else "bad-request"
        body = json.dumps(ServiceError(code).content()).encode()
        headers = with_security(
            [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
        )
        with suppress(h11.LocalProtocolError):  # a response had begun
            response = h11.Response(status_code=ERRORS[code].status, headers=headers, reason=b"")
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _listening_socket(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    host = "127.0.0.1" if options.host == "localhost" else options.host
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, options.port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ValueError(
            f"cannot listen on {options.host} port {options.port}: {reason}; give another --port"
        ) from error
    return listener


def _allow_files(limits: Limits) -> None:
    """Raise the soft limit of open files, so that many slow clients do not exhaust it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = limits.connections * FILES_PER_CONNECTION + OTHER_FILES
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
