"""Scores of RadEval, which runs in a Python of the user: its answers are checked.

RadEval and its weights are large, so a small package of the same interface takes its place. It
runs in its own process, as the real package does.
"""

import sys
from pathlib import Path

import pytest

from lapse.core.types import Prediction
from lapse.metrics.radeval import RadEvalChoice, RadEvalScores

PACKAGE = """
import os
class RadEval:
    def __init__(self, metrics, per_sample, show_progress):
        assert per_sample and not show_progress and os.environ["HF_HUB_OFFLINE"] == "1"
        print("progress on standard output")
        self.names = metrics
    def __call__(self, refs, hyps):
        if "absent" in self.names:
            raise OSError("no weights in the cache")
        if "short" in self.names:
            return {"short": [1.0]}
        values = [float(a == b) for a, b in zip(refs, hyps)]
        return {f"{name}_simple": values for name in self.names}
"""
ITEMS = [Prediction(str(n), "cap", "abc"[n], ("a",), f"p{n}") for n in range(3)]


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    (tmp_path / "radeval.py").write_text(PACKAGE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_every_number_of_radeval_becomes_a_score(package):
    scores = RadEvalScores(RadEvalChoice(("radgraph",), sys.executable))(ITEMS)
    score = scores["RadEval radgraph_simple"]
    assert score.per_sample == (1.0, 0.0, 0.0) and score.value == pytest.approx(1 / 3)
    assert score.statistics is not None and score.details["backend"] == "RadEval, radgraph"


def test_the_package_radgraph_is_preferred(package):
    text = (
        "class F1RadGraph:\n"
        "    def __init__(self, reward_level, model_type): pass\n"
        "    def __call__(self, refs, hyps):\n"
        "        columns = ([0.5] * len(refs), [0.25] * len(refs), [0.0] * len(refs))\n"
        "        return (0, columns)\n"
    )
    (package / "radgraph.py").write_text(text, "utf-8")
    scores = RadEvalScores(RadEvalChoice(("radgraph", "rouge")))(ITEMS)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        {
            "RadEval radgraph_simple": 0.5,
            "RadEval radgraph_partial": 0.25,
            "RadEval radgraph_complete": 0.0,
            "RadEval rouge_simple": 1 / 3,
        }
    )


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("absent", r"RadEval failed: OSError: no weights in the cache\. .*downloads nothing"),
        ("short", r"RadEval returned \{'short': 1\} for 3 answers"),
    ],
)
def test_failures_are_one_sentence(package, metric, message):
    with pytest.raises(ValueError, match=message):
        RadEvalScores(RadEvalChoice((metric,)))(ITEMS)


def test_a_python_without_radeval_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no package radeval: pip install RadEval"):
        RadEvalScores(RadEvalChoice(("bleu",)))(ITEMS)
    with pytest.raises(ValueError, match="cannot be started"):
        RadEvalScores(RadEvalChoice(("bleu",), str(tmp_path / "python")))(ITEMS)
