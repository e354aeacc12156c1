import pytest

import evaluation_pages


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "store"
    return evaluation_pages.evaluation_report(evaluation_pages.write_page_store(folder))
