"""The documentation of the REST interface as a page, from its OpenAPI document.

FastAPI's own page loads scripts from other hosts, so it is switched off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lapse.serve.errors import ERRORS

CLIENT = """\
import json, urllib.request


def post(path, body, kind):
    url, headers = "http://127.0.0.1:8000/api" + path, {"Content-Type": kind}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


films = {}
for role, name in {"reference": "earlier.png", "main": "later.png"}.items():
    films[role] = post("/films", open(name, "rb").read(), "application/octet-stream")["id"]
print(post("/comparisons", json.dumps(films).encode(), "application/json")["answer"])
"""


def api_page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    environment = Environment(
        loader=PackageLoader("lapse.serve"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("docs.html.jinja")
    fields = partial(_fields, document)
    return template.render(document=document, fields=fields, errors=ERRORS, client=CLIENT)


def _fields(
    document: Mapping[str, Any], content: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, bool]]:
    """Name, kind and text of each value of a JSON object, and whether it is required."""
    schema = _resolved(document, content.get("application/json", {}).get("schema", {}))
    required = schema.get("required", [])
    for name, value in schema.get("properties", {}).items():
        yield name, _kind(document, value), _text(value), name in required


def _kind(document: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        names = _resolved(document, value).get("properties", {})
        return "object with " + ", ".join(names) if names else "object"
    if "anyOf" in value:
        return " or ".join(_kind(document, item) for item in value["anyOf"])
    if value.get("type") == "array":
        return f"list of {_kind(document, value.get('items', {}))}"
    return str(value.get("type", "any value"))


def _text(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    suffix = "" if default is None else f"Default: {json.dumps(default)}."
    return f"{value.get('description', '')} {suffix}".strip()


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    schemas: Mapping[str, Mapping[str, Any]] = document["components"]["schemas"]
    return schemas[schema["$ref"].rpartition("/")[2]]
