"""Who may send a request: names in Host, pages in Origin, the token. Pure functions of headers.

A page of another site can make a browser send requests to a loopback address. Such a request
names its page in Origin or Sec-Fetch-Site, or, after DNS rebinding, another name in Host.
"""

from __future__ import annotations

import hmac
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lapse.core.addresses import is_loopback

MIN_TOKEN, MAX_TOKEN = 32, 512  # characters
NAMES_OF_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SAFE_SITES = {b"same-origin", b"none"}
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_NAME = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?")

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one service.

    Attributes:
        hosts: accepted values of Host, such as b"127.0.0.1:8000".
        token: that requests to the API must carry; None for none.
    """

    hosts: frozenset[bytes]
    token: bytes | None = None

    def refusal(self, headers: Headers, *, is_api: bool) -> str | None:
        """The code of the error for a request; None if it may pass.

        Args:
            headers: as they were sent.
            is_api: whether the path can do more than show the page and the documentation.
        """
        named: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            named.setdefault(name.lower(), []).append(value)
        hosts = named.get(b"host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return "wrong-host"
        for origin in named.get(b"origin", []):
            scheme, _, rest = origin.lower().partition(b"://")
            if scheme not in {b"http", b"https"} or rest not in self.hosts:
                return "wrong-origin"
        if not is_api:  # a link of another page may open the page of the service
            return None
        if any(site not in SAFE_SITES for site in named.get(b"sec-fetch-site", [])):
            return "wrong-origin"
        if self.token is not None and not self._has_token(named):
            return "unauthorized"
        return None

    def _has_token(self, named: dict[bytes, list[bytes]]) -> bool:
        values = named.get(b"authorization", [])
        if len(values) != 1 or self.token is None:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token, self.token)


def accepted_hosts(host: str, port: int, names: Iterable[str] = ()) -> frozenset[bytes]:
    """The accepted values of Host.

    Args:
        host: the address of the service.
        port: that it listens on.
        names: more names, of a proxy or of this machine, with or without a port; without one, the
            port may be absent or that of the service.

    Raises:
        ValueError: a name that is not a host name.
    """
    accepted = {f"{name}:{port}" for name in NAMES_OF_LOOPBACK}
    accepted.add(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    for name in names:
        match = _NAME.fullmatch(name)
        if not match:
            raise ValueError(
                f"--allow-host {name!r} is not a host name: give NAME or NAME:PORT, without a "
                "scheme"
            )
        accepted |= {name} if match[2] else {name, f"{name}:{port}"}
    return frozenset(value.lower().encode("ascii") for value in accepted)


def read_token(path: Path) -> bytes:
    """The token in a file that only its owner can read.

    Raises:
        ValueError: others may read the file, or it does not hold one token.
        OSError: it cannot be read.
    """
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ValueError(f"the token file {path} is not a file")
    if info.st_mode & 0o077:
        raise ValueError(
            f"the token file {path} has mode {stat.S_IMODE(info.st_mode):04o}, so that others can "
            f"read it: chmod 600 {path}"
        )
    with path.open("rb") as stream:
        text = stream.read(MAX_TOKEN + 2).decode("ascii", "replace").strip()
    if not MIN_TOKEN <= len(text) <= MAX_TOKEN or not _TOKEN.fullmatch(text):
        raise ValueError(
            f"the token file {path} does not hold a token of {MIN_TOKEN} to {MAX_TOKEN} "
            f'characters: python -c "import secrets; print(secrets.token_urlsafe(32))" > {path}'
        )
    return text.encode("ascii")


def check_address(host: str, token_file: Path | None) -> None:
    """Refuse an address that others can reach without a token.

    Raises:
        ValueError: not an IP address or localhost, or no token file.
    """
    if host != "localhost":
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(
                f"--host {host!r} is not an IP address: give 127.0.0.1, or 0.0.0.0 with "
                "--token-file"
            ) from None
    if not is_loopback(host) and token_file is None:
        raise ValueError(
            f"--host {host} can be reached from other machines: give --token-file with a file that "
            "only you can read, or keep 127.0.0.1"
        )
