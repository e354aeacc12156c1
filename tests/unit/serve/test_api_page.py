import ast
import copy
from pathlib import Path

from lapse.serve.api_page import CLIENT, api_page
from lapse.serve.app import routes
from lapse.serve.errors import ERRORS
from lapse.serve.limits import Limits
from lapse.serve.service import Service

DOCUMENT = routes(Service("", Limits())).openapi()


def document():
    return copy.deepcopy(DOCUMENT)


def test_the_page_shows_every_route_and_error():
    values = document()
    page = api_page(values)
    for path, methods in values["paths"].items():
        assert f"<code>{path}</code>" in page
        for method in methods:
            assert f">{method.upper()}<" in page
    assert all(code in page for code in ERRORS)


def test_the_page_loads_nothing_from_other_hosts_and_has_no_inline_code():
    page = api_page(document())
    assert 'src="http' not in page and 'href="http' not in page
    assert "<style" not in page and " style=" not in page and "<script>" not in page


def test_texts_are_escaped():
    values = document()
    values["info"] = {**values["info"], "description": "<img src=x>"}
    assert "<img" not in api_page(values)


def test_the_client_has_ten_lines():
    ast.parse(CLIENT)
    assert sum(bool(line.strip()) for line in CLIENT.splitlines()) <= 10


def test_the_client_of_the_documentation_is_the_same():
    page = Path(__file__).parents[3] / "docs" / "how-to" / "rest.md"
    assert f"```python\n{CLIENT}```" in page.read_text(encoding="utf-8")
