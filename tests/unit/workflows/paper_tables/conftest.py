import pytest

import tiny_store


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("tables") / "store")
