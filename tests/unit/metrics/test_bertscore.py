"""BERTScore on a tiny BERT that the test writes; values equal bert-score 0.3.13's.

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


def rows(pairs):
    return [Prediction(str(i), "cap", said, (true,)) for i, (said, true) in enumerate(pairs)]


def test_golden(folder):
    found = BertScore(BertChoice(folder, layer=GOLDEN["layer"], batch_size=2))(
        rows(GOLDEN["pairs"])
    )
    for name, values in GOLDEN["scores"].items():
        assert found[name].per_sample == pytest.approx(values, abs=1e-3), name
    details = found["BERTScore F1"].details
    assert details["layer"] == "2 of 3" and details["rescaled"] == "no"


def test_another_layer_gives_other_values(folder):
    found = BertScore(BertChoice(folder, layer=1))(rows(GOLDEN["pairs"]))["BERTScore F1"]
    assert found.per_sample != pytest.approx(GOLDEN["scores"]["BERTScore F1"], abs=1e-3)


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


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"'owner/name@main' is neither a folder nor a hub id"):
        BertChoice("owner/name@main")
    with pytest.raises(ValueError, match=r"layer 9: .* has 1 to 3"):
        BertScore(BertChoice(folder, layer=9))(rows([["a", "b"]]))
    with pytest.raises(ValueError, match="cannot be read"):
        BertScore(BertChoice(str(tmp_path)))(rows([["a", "b"]]))
