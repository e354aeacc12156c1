"""BERTScore on a tiny BERT, compared with bert-score 0.3.13.

tests/unit/metrics/write_bert_golden.py wrote bert_golden.json with that package.
"""

import json
from pathlib import Path

import pytest

from lapse.core.types import Prediction
from lapse.metrics.bertscore import BertChoice, BertScore
from tiny_bert import write_tiny_bert

GOLDEN = json.loads((Path(__file__).parent / "bert_golden.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_tiny_bert(tmp_path_factory.mktemp("bert")))


def predictions(pairs):
    return [Prediction(str(n), "cap", text, (true,)) for n, (text, true) in enumerate(pairs)]


def test_golden(folder):
    metric = BertScore(BertChoice(folder, layer=GOLDEN["layer"], batch_size=2))
    scores = metric(predictions(GOLDEN["pairs"]))
    for name, values in GOLDEN["scores"].items():
        assert scores[name].per_sample == pytest.approx(values, abs=1e-3), name
    details = scores["BERTScore F1"].details
    assert details["layer"] == "2 of 3" and details["rescaled"] == "no"


def test_another_layer_gives_other_values(folder):
    scores = BertScore(BertChoice(folder, layer=1))(predictions(GOLDEN["pairs"]))
    expected = pytest.approx(GOLDEN["scores"]["BERTScore F1"], abs=1e-3)
    assert scores["BERTScore F1"].per_sample != expected


def test_empty_texts_several_references_and_rescaling(folder):
    items = [
        Prediction("a", "cap", "", ("no edema",)),
        Prediction("b", "cap", "no edema", ("small effusion", "no edema")),
    ]
    plain = BertScore(BertChoice(folder))(items)["BERTScore F1"]
    assert plain.per_sample == (0.0, pytest.approx(1.0, abs=1e-5))
    assert plain.details["empty texts"] == "1"
    scaled = BertScore(BertChoice(folder, baseline=0.5))(items)["BERTScore F1"]
    assert scaled.per_sample == (-1.0, pytest.approx(1.0, abs=1e-5))
    assert scaled.details["rescaled"] == "with baseline 0.5"


def test_invalid_choices_and_models_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"'owner/name@main' is neither a folder nor a hub id"):
        BertChoice("owner/name@main")
    with pytest.raises(ValueError, match=r"layer 9: .* has 1 to 3"):
        BertScore(BertChoice(folder, layer=9))(predictions([["a", "b"]]))
    with pytest.raises(ValueError, match="cannot be read"):
        BertScore(BertChoice(str(tmp_path)))(predictions([["a", "b"]]))
