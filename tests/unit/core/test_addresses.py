import pytest

from lapse.core.addresses import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "::1"])
def test_this_machine_is_a_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "10.0.0.1", "::", "localhost.example", "127.0.0.1.nip", ""]
)
def test_other_machines_and_names_are_not(host):
    assert not is_loopback(host)
