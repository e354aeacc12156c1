import pytest

from lapse.serve.access import Access, accepted_hosts, check_address, read_token

TOKEN = "t" * 40
HOSTS = accepted_hosts("127.0.0.1", 8000)
HOST = (b"host", b"127.0.0.1:8000")


def refusal(*headers, is_api=True, token=None):
    return Access(HOSTS, token).refusal(headers, is_api=is_api)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST:8000"]
)
def test_names_of_the_loopback_are_accepted(host):
    assert refusal((b"Host", host.encode())) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8000.evil.example", "", "*"]
)
def test_another_name_is_refused(host):
    assert refusal((b"host", host.encode())) == "wrong-host"


def test_a_host_is_given_once():
    assert refusal() == refusal(HOST, HOST) == "wrong-host"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:8001", "file://", "ftp://127.0.0.1:8000"],
)
def test_a_page_of_another_origin_is_refused(origin):
    assert refusal(HOST, (b"origin", origin.encode())) == "wrong-origin"
    assert refusal(HOST, (b"origin", b"http://127.0.0.1:8000")) is None


def test_a_request_that_a_browser_calls_cross_site_reaches_pages_only():
    header = (b"sec-fetch-site", b"cross-site")
    assert refusal(HOST, header) == "wrong-origin"
    assert refusal(HOST, header, is_api=False) is None
    assert refusal(HOST, (b"sec-fetch-site", b"same-site")) == "wrong-origin"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Basic " + TOKEN.encode(),
        TOKEN.encode(),
        b"Bearer  " + TOKEN.encode(),
    ],
)
def test_a_wrong_token_is_refused(value):
    token = TOKEN.encode()
    assert refusal(HOST, token=token) == "unauthorized"
    assert refusal(HOST, (b"authorization", value), token=token) == "unauthorized"
    right = (b"authorization", b"Bearer " + token)
    assert refusal(HOST, right, token=token) is None
    assert refusal(HOST, right, right, token=token) == "unauthorized"
    assert refusal(HOST, token=token, is_api=False) is None


def test_names_of_a_proxy_are_accepted_with_and_without_a_port():
    hosts = accepted_hosts("0.0.0.0", 9, ["films.hospital", "127.0.0.1:90"])
    assert b"127.0.0.1:90" in hosts and b"127.0.0.1:90:9" not in hosts
    assert {b"films.hospital", b"films.hospital:9", b"0.0.0.0:9"} <= hosts
    with pytest.raises(ValueError, match="not a host name"):
        accepted_hosts("127.0.0.1", 9, ["http://x"])


def test_an_address_of_others_needs_a_token(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.1.4"):
        with pytest.raises(ValueError, match="--token-file"):
            check_address(host, None)
        check_address(host, tmp_path)
    for host in ("127.0.0.1", "localhost", "::1", "127.3.3.3"):
        check_address(host, None)
    with pytest.raises(ValueError, match="not an IP address"):
        check_address("films.hospital", tmp_path)


def test_a_token_file_is_readable_for_its_owner_only(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    for mode in (0o644, 0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(ValueError, match="others can read it"):
            read_token(path)
    path.chmod(0o600)
    assert read_token(path) == TOKEN.encode()


@pytest.mark.parametrize("content", ["", "short", "t" * 600, "x" * 20 + "\n" + "y" * 20, "ü" * 40])
def test_a_token_is_long_and_plain(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="does not hold a token"):
        read_token(path)
    with pytest.raises(ValueError, match="is not a file"):
        read_token(tmp_path)
