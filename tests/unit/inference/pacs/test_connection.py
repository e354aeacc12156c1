"""A connection to a PACS: credentials, encryption, limits, and errors without ids."""

import json
import logging
import shutil
import time

import pytest

from lapse.inference.pacs.connection import PacsError, PacsOptions, connect
from lapse.inference.pacs.studies import films_of_patient
from scripted_server import reply, self_signed, serving

CANARY = "CANARY-77"
JSON = "application/dicom+json"


def search(url, **options):
    with connect(PacsOptions(url, **options)) as pacs:
        return films_of_patient(pacs, CANARY)


def failure(answer, **options):
    """The message of a search that fails."""
    with serving(answer) as url, pytest.raises(PacsError) as error:
        search(url, **options)
    assert CANARY not in str(error.value) and error.value.__cause__ is None
    return str(error.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("pacs.example/dicom-web", "is not a URL"),
        ("ftp://pacs.example", "is not a URL"),
        ("https://pacs.example:port/x", "is not a URL"),
        ("https://user:pass@pacs.example/x", "holds credentials"),
        ("https://pacs.example/x?key=1", "holds credentials or parameters"),
        ("http://pacs.example/dicom-web", "is not encrypted"),
        ("http://127.0.0.1.example/dicom-web", "is not encrypted"),
    ],
)
def test_addresses_that_are_refused(url, message):
    with pytest.raises(PacsError, match=message) as error:
        connect(PacsOptions(url))
    assert "pass" not in str(error.value).replace("passed", "")


def test_http_is_for_this_machine_or_by_explicit_choice():
    for url in ("http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:8042/x"):
        assert connect(PacsOptions(url)).session.verify is True
    connect(PacsOptions("http://pacs.example/x", allow_unencrypted=True))


def test_certificates_are_verified_and_the_environment_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    session = connect(PacsOptions("https://pacs.example/x")).session
    assert session.verify is True and session.trust_env is False
    (tmp_path / "ca.pem").touch()
    options = PacsOptions("https://pacs.example/x", ca_file=tmp_path / "ca.pem")
    assert connect(options).session.verify == str(tmp_path / "ca.pem")
    with pytest.raises(PacsError, match="no file of certificates"):
        connect(PacsOptions("https://pacs.example/x", ca_file=tmp_path / "none.pem"))


def test_an_unknown_certificate_is_refused_and_a_given_one_is_accepted(tmp_path):
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    pem = self_signed(tmp_path, program)
    with serving(lambda handler: reply(handler, b"[]", JSON), pem=pem) as url:
        assert url.startswith("https://")
        with pytest.raises(PacsError, match="certificate cannot be verified: give --ca-file"):
            search(url)
        with pytest.raises(PacsError, match="has no study with this PatientID"):
            search(url, ca_file=tmp_path / "certificate.pem")


def test_credentials_are_sent_and_bad_files_are_refused(tmp_path):
    seen = []

    def answer(handler):
        seen.append(handler.headers.get("Authorization"))
        reply(handler, b"[]", JSON)

    token, basic, bad = (tmp_path / name for name in ("token", "basic", "bad"))
    token.write_text(" abc.def \n")
    basic.write_text("user:pa:ss\n")
    with serving(answer) as url:
        for options in ({"token_file": token}, {"basic_file": basic}, {}):
            with pytest.raises(PacsError, match="has no study"):
                search(url, **options)
    assert seen == ["Bearer abc.def", "Basic dXNlcjpwYTpzcw==", None]
    for content, message in (
        (b"", "exactly one line"),
        (b"a\nb", "exactly one line"),
        (b"\xff", "UTF-8"),
        (b"nocolon", "user:password"),
    ):
        bad.write_bytes(content)
        with pytest.raises(PacsError, match=message):
            connect(PacsOptions("https://pacs.example", basic_file=bad))
    with pytest.raises(PacsError, match="cannot be read"):
        connect(PacsOptions("https://pacs.example", token_file=tmp_path))
    with pytest.raises(PacsError, match="not both"):
        connect(PacsOptions("https://pacs.example", token_file=token, basic_file=basic))


def test_too_many_bytes_end_the_answer():
    def answer(handler):
        reply(handler, json.dumps([{"00100020": {"Value": ["x" * 5000]}}]).encode(), JSON)

    assert "more than 4000 bytes in one answer" in failure(answer, max_bytes=4000)
    assert "another PatientID" in failure(answer, max_bytes=6000)


def test_a_slow_answer_ends():
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", JSON)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    assert "longer than the limit of time" in failure(answer, timeout=0.3)


def test_a_silent_server_ends():
    assert "does not answer in time" in failure(lambda handler: time.sleep(0.6), timeout=0.2)


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "check the credentials"), (403, "check the credentials"), (500, "status 500")],
)
def test_a_status_is_named(status, message):
    def answer(handler):
        reply(handler, CANARY.encode(), "text/plain", status)

    assert message in failure(answer)


def test_redirects_are_not_followed():
    paths = []

    def answer(handler):
        paths.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    assert "redirects" in failure(answer)
    assert len(paths) == 1


@pytest.mark.parametrize("body", [b"<html>", b'{"a": [', b'"text"', b"[1]", b'[{"00100020": 3}]'])
def test_answers_that_are_not_dicom_json_are_refused(body):
    message = failure(lambda handler: reply(handler, body, JSON))
    assert "cannot be read" in message or "another PatientID" in message


def test_no_connection_names_the_host_only_and_logs_nothing(caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PacsError, match=r"the PACS 127\.0\.0\.1:9 fails") as error:
        search("http://127.0.0.1:9/dicom-web")
    assert CANARY not in str(error.value) and caplog.text == ""


def test_log_messages_of_the_libraries_are_suppressed_and_restored(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(lambda handler: reply(handler, b"[]", JSON)) as url:
        with pytest.raises(PacsError):
            search(url)
        pacs = connect(PacsOptions(url))
    assert CANARY not in caplog.text and "GET" not in caplog.text
    with pacs.requesting("x"):
        pass
    assert logging.getLogger("dicomweb_client").level == logging.NOTSET


def test_limits_must_be_positive():
    with pytest.raises(PacsError, match="must be positive"):
        PacsOptions("https://pacs.example", timeout=0)
