"""A connection to the DICOMweb service of a PACS, with limits and with errors that name no patient.

Requests carry ids of patients in their URLs. The libraries quote URLs in log messages, warnings
and exceptions, so all three are suppressed and replaced here. A redirect is not followed: it could
send ids or credentials to another host. The environment (proxies, .netrc, certificates) is not
used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import requests
from dicomweb_client.api import DICOMwebClient
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3 import HTTPResponse

from lapse.core.addresses import is_loopback
from lapse.images.errors import MAX_BYTES
from lapse.images.pydicom_quiet import quiet

CONNECT_TIMEOUT = 10.0  # seconds
CHUNK = 1 << 16  # bytes
MAX_CREDENTIALS = 16 * 1024  # bytes
_LOGGERS = ("dicomweb_client", "retrying", "urllib3", "requests", "pydicom")


class PacsError(ValueError):
    """A PACS cannot be used. The message names the host and never a patient, study or URL."""


@dataclass(frozen=True, slots=True)
class PacsOptions:
    """Where a PACS is and how it is used.

    Attributes:
        url: of the DICOMweb service, such as "https://pacs.example/dicom-web".
        token_file: file with a bearer token.
        basic_file: file with "user:password".
        ca_file: certificates of the authority that signed the server's; None for the usual ones.
        allow_unencrypted: use http:// to another machine than this one.
        timeout: seconds that one request may take in all.
        max_bytes: of one response.
    """

    url: str
    token_file: Path | None = None
    basic_file: Path | None = None
    ca_file: Path | None = None
    allow_unencrypted: bool = False
    timeout: float = 120.0
    max_bytes: int = MAX_BYTES + CHUNK  # a film, and what surrounds it in a message

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.max_bytes < 1:
            raise PacsError(
                f"the limits of {self.timeout:g} s and {self.max_bytes} bytes must be positive"
            )


@dataclass(frozen=True, slots=True)
class PacsConnection:
    """An open connection, closed at the end of a with block.

    All requests are made inside `requesting`.

    Attributes:
        url: without a trailing slash.
        host: for messages.
        session: of all requests.
        client: QIDO-RS, metadata and STOW-RS on that session.
    """

    url: str = field(repr=False)
    host: str
    session: requests.Session = field(repr=False)
    client: DICOMwebClient = field(repr=False)

    def __enter__(self) -> PacsConnection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.session.close()

    @contextmanager
    def requesting(self, what: str) -> Iterator[None]:
        """Make requests: without log messages and warnings, and with one sentence on failure.

        Args:
            what: the request in words, such as "the search for studies".

        Raises:
            PacsError: instead of every error.
        """
        with quiet(_LOGGERS):
            try:
                yield
            except PacsError:
                raise
            except Exception as error:  # the libraries quote URLs in their errors
                raise PacsError(_describe(error, self.host, what)) from None


def connect(options: PacsOptions) -> PacsConnection:
    """Check the options and prepare a connection; nothing is sent yet.

    Raises:
        PacsError: not an http(s) URL, credentials in the URL, no encryption to another machine,
            two kinds of credentials, or a file that cannot be read.
    """
    url = _checked_url(options)
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.headers["Accept-Encoding"] = "identity"  # a small answer cannot become a large one
    if options.token_file is not None and options.basic_file is not None:
        raise PacsError("give a token or a user with a password, not both")
    if options.token_file is not None:
        session.headers["Authorization"] = f"Bearer {_read_secret(options.token_file)}"
    elif options.basic_file is not None:
        user, colon, password = _read_secret(options.basic_file).partition(":")
        if not colon:
            raise PacsError(f"{options.basic_file} does not hold one line user:password")
        session.auth = HTTPBasicAuth(user, password)
    if options.ca_file is not None:
        if not options.ca_file.is_file():
            raise PacsError(f"no file of certificates {options.ca_file}")
        session.verify = str(options.ca_file)
    adapter = _LimitedAdapter(options.timeout, options.max_bytes)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    address = options.url.rstrip("/")
    client = DICOMwebClient(address, session=session, timeout=options.timeout)
    client.set_http_retry_params(retry=False)
    return PacsConnection(address, url.netloc, session, client)


def _checked_url(options: PacsOptions) -> SplitResult:
    try:
        url = urlsplit(options.url)
        is_valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise PacsError("the address of the PACS is not a URL, such as https://HOST/dicom-web")
    if url.username or url.password or url.query or url.fragment:
        raise PacsError(
            "the address of the PACS holds credentials or parameters: give a file with "
            "--token-file or --basic-file instead"
        )
    if url.scheme == "http" and not (options.allow_unencrypted or is_loopback(url.hostname or "")):
        raise PacsError(
            f"http://{url.netloc} is not encrypted, and the films are of patients: use https, or "
            "--allow-unencrypted inside a network that you trust"
        )
    return url


def _read_secret(path: Path) -> str:
    """The only line of a file of credentials."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CREDENTIALS + 1).decode("utf-8").strip()
    except OSError as error:
        raise PacsError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PacsError(f"{path} does not hold text in UTF-8") from None
    if not text or len(text) > MAX_CREDENTIALS or len(text.splitlines()) > 1:
        raise PacsError(f"{path} must hold exactly one line with the credentials")
    return text


class _LimitedAdapter(HTTPAdapter):
    """Requests with limits of time and of the bytes of the answer."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        super().__init__(max_retries=0)
        self._seconds, self._max_bytes = seconds, max_bytes

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; its answer is limited while it is read."""
        del timeout  # the limits are those of the connection
        end = time.monotonic() + self._seconds
        limits = (min(CONNECT_TIMEOUT, self._seconds), self._seconds)
        response = super().send(request, stream, limits, verify, cert, proxies)
        response.raw = _LimitedBody(response.raw, self._max_bytes, end)
        return response


class _LimitedBody:
    """The body of a response that ends with an error at a limit."""

    def __init__(self, raw: HTTPResponse, max_bytes: int, end: float) -> None:
        self._raw, self._max_bytes, self._end = raw, max_bytes, end

    def stream(self, chunk: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """The body in parts, as they arrive: a server may send one byte a minute."""
        num_bytes = 0
        while part := self._raw.read1(min(chunk, CHUNK), decode_content=decode_content):
            num_bytes += len(part)
            if num_bytes > self._max_bytes:
                self._raw.close()
                raise PacsError(
                    f"the PACS sends more than {self._max_bytes} bytes in one answer, which is "
                    "the limit"
                )
            if time.monotonic() > self._end:
                self._raw.close()
                raise PacsError("the PACS takes longer than the limit of time for one answer")
            yield part

    def __getattr__(self, name: str) -> object:
        return getattr(self._raw, name)


def _describe(error: Exception, host: str, what: str) -> str:
    """An error of the libraries without its texts."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        fix = "check the credentials" if status in {401, 403} else "ask its administrator"
        return f"the PACS {host} answers {what} with status {status}: {fix}"
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (requests.exceptions.SSLError, "its certificate cannot be verified: give --ca-file"),
        (requests.exceptions.Timeout, "it does not answer in time"),
        (requests.exceptions.TooManyRedirects, "it redirects, which is not followed"),
        (requests.exceptions.ConnectionError, "no connection: is the address right?"),
    )
    reason = next((text for kind, text in kinds if isinstance(error, kind)), "")
    reason = reason or f"its answer cannot be read ({type(error).__name__})"
    return f"the PACS {host} fails at {what}: {reason}"
