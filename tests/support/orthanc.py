"""A real PACS for tests: Orthanc with its DICOMweb plug-in, on a free loopback port.

Configuration, index and storage are in a temporary folder. Debian: orthanc, orthanc-dicomweb.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

USER, PASSWORD = "tester", "only-for-tests"
PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)
START_SECONDS = 60


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    url: str  # of the REST API of Orthanc
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def request(self, method: str, path: str, **options: object) -> requests.Response:
        """A request to Orthanc's own API."""
        answer = requests.request(
            method, f"{self.url}/{path}", auth=(USER, PASSWORD), timeout=30, **options
        )
        answer.raise_for_status()
        return answer

    def upload(self, data: bytes) -> None:
        """Store one DICOM file."""
        self.request("POST", "instances", data=data)

    def files(self, modality: str) -> list[bytes]:
        """All stored DICOM files of a modality."""
        query = {"Level": "Instance", "Query": {"Modality": modality}}
        ids = self.request("POST", "tools/find", json=query).json()
        return [self.request("GET", f"instances/{name}/file").content for name in ids]


def missing_parts() -> str:
    """What Orthanc needs and this machine does not have; "" if everything is there."""
    if shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None:
        return "Orthanc is not installed (Debian package orthanc)"
    if not any(path.exists() for path in PLUGINS):
        return "the DICOMweb plug-in of Orthanc is not installed (Debian package orthanc-dicomweb)"
    return ""


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """An empty server that ends with the block."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    port = _free_port()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "TemporaryDirectory": str(folder / "temporary"),
        "Plugins": [str(path) for path in PLUGINS if path.exists()],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **settings,
    }
    (folder / "temporary").mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = folder / "orthanc.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), str(folder / "orthanc.json")], stdout=output, stderr=output
        )
    server = Orthanc(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Orthanc) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            server.request("GET", "system")
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise RuntimeError(f"Orthanc does not start: {server.log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
