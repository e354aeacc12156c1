"""The limits of the service. docs/how-to/serve.md lists them."""

from __future__ import annotations

from dataclasses import dataclass

from lapse.images.errors import MAX_BYTES

KIBI, MEBI = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request, a process and the service may use.

    Attributes:
        film_bytes: of a film as it is sent.
        json_bytes: of any other body.
        uploads_bytes: of all films that are being sent.
        upload_seconds: for the body of a request, plus a second for each `upload_rate` bytes.
        upload_rate: bytes per second of the slowest accepted client.
        header_seconds: for the headers of a request.
        header_bytes: of all headers of a request.
        connections: that are open at once.
        films: in memory, with their bytes and the seconds after their last use.
        decoders: processes that decode.
        decoder_uses: films after which a decoder is replaced.
        decoder_cpu, decoder_seconds, decoder_bytes: of one film in a decoder.
        shown_side: pixels of the longer edge of a film on the page.
        waiting: requests that wait for a decoder, and for the model.
        model_seconds: for one answer.
        drain_seconds: after SIGTERM, for the requests that are running.
        timeline_films: that are ordered at once.
    """

    film_bytes: int = MAX_BYTES
    json_bytes: int = 16 * KIBI
    uploads_bytes: int = 512 * MEBI
    upload_seconds: float = 20.0
    upload_rate: int = 512 * KIBI
    header_seconds: float = 10.0
    header_bytes: int = 16 * KIBI
    connections: int = 1000
    films: int = 64
    films_bytes: int = 256 * MEBI
    films_seconds: float = 900.0
    decoders: int = 2
    decoder_uses: int = 200
    decoder_cpu: int = 10
    decoder_seconds: float = 60.0
    decoder_bytes: int = 700_000_000
    shown_side: int = 1536
    waiting: int = 8
    model_seconds: float = 120.0
    drain_seconds: float = 28.0
    timeline_films: int = 32


DEFAULT = Limits()
