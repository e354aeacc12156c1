"""JSON lists: read item by item, damage and excessive items are refused."""

import json

import pytest

from lapse.data.verify import json_stream
from lapse.data.verify.json_stream import json_items


@pytest.mark.parametrize("items", [[], [1], [12345, {"é": [1, 2]}, "x", None, [[]], 10**30]])
@pytest.mark.parametrize("prefix", ["", "\ufeff", " "])
def test_a_list_is_read_item_by_item(tmp_path, items, prefix):
    path = tmp_path / "list.json"
    for indent in (None, 2):
        text = json.dumps(items, indent=indent, ensure_ascii=False)
        path.write_text(f"{prefix}{text}\n", "utf-8")
        assert list(json_items(path)) == items


def test_items_before_the_damage_are_read(tmp_path):
    path = tmp_path / "list.json"
    path.write_text('[{"a": 1}, {"a": 2}, {"a"')
    items = json_items(path)
    assert [next(items), next(items)] == [{"a": 1}, {"a": 2}]
    with pytest.raises(ValueError, match="damaged, cut short or larger"):
        next(items)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "3", "[1", "[1,", "[1 2]", "[1]]", "[,]", "[1,]", "[1] 2", '["\udce9"]', "[NaN]"],
)
def test_other_content_is_refused(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        list(json_items(path))


def test_nesting_is_limited(tmp_path):
    """Without the limit, the memory of deeply nested items grows until the process is killed."""
    path = tmp_path / "list.json"
    path.write_text("[" * 1_000 + "]" * 1_000)
    with pytest.raises(ValueError, match="nested deeper than 100"):
        list(json_items(path))


def test_an_item_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "MAX_ITEM", 100_000)
    path = tmp_path / "list.json"
    path.write_text(json.dumps(["x" * 50_000] * 20))
    assert len(list(json_items(path))) == 20
    path.write_text(json.dumps(["x" * 500_000]))
    with pytest.raises(ValueError, match="larger than 100000 bytes"):
        list(json_items(path))
