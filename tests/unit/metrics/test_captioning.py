"""Caption metrics equal pycocoevalcap's own (golden.json says how it was written)."""

import json
from pathlib import Path

import pytest

from lapse.core.types import Prediction
from lapse.metrics.captioning import Captioning

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))

pytestmark = pytest.mark.usefixtures("blank_path")


def prediction(index: int, text: str, *references: str) -> Prediction:
    return Prediction(str(index), "diff_vqa", text, references)


def golden_rows() -> list[Prediction]:
    return [prediction(index, *case) for index, case in enumerate(GOLDEN["cases"])]


def test_golden_scores():
    scores = Captioning()(golden_rows())
    assert tuple(scores) == Captioning.names
    for name, value in GOLDEN["scores"].items():
        assert scores[name].value == pytest.approx(value, abs=1e-9), name
        assert scores[name].per_sample == pytest.approx(GOLDEN["per_sample"][name], abs=1e-9), name


def test_details_name_the_backend_and_what_is_a_mean():
    scores = Captioning()(golden_rows())
    assert all(score.details["n"] == str(len(GOLDEN["cases"])) for score in scores.values())
    assert "PTB" in scores["BLEU-4"].details["tokenizer"]
    assert "1.5" in scores["METEOR"].details["backend"]
    assert scores["CIDEr"].details["idf corpus"] == "evaluated set, 8 samples"
    for name, score in scores.items():
        mean = sum(score.per_sample) / len(score.per_sample)
        is_mean = score.details.get("aggregate") == "mean"
        assert is_mean == (name in {"ROUGE-L", "CIDEr"})
        assert (score.value == pytest.approx(mean, abs=1e-9)) == is_mean


def test_order_of_samples_moves_no_score():
    rows = golden_rows()
    forth, back = Captioning()(rows), Captioning()(rows[::-1])
    for name, score in forth.items():
        assert back[name].value == pytest.approx(score.value, abs=1e-9)
        assert back[name].per_sample == pytest.approx(score.per_sample[::-1], abs=1e-9)


def test_identical_answers_score_one():
    answer = "the main image has an additional finding of edema than the reference image. "
    found = Captioning()([prediction(0, answer, answer), prediction(1, "no change", "no change")])
    for name in ("BLEU-1", "METEOR", "ROUGE-L"):
        assert found[name].value == pytest.approx(1.0), name


def test_an_empty_answer_counts_and_earns_nothing():
    found = Captioning()([prediction(0, "", "no edema"), prediction(1, "no edema", "no edema")])
    assert found["ROUGE-L"].per_sample == (0.0, 1.0)
    assert found["METEOR"].per_sample == (0.0, pytest.approx(1.0, abs=0.1))


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Captioning()([])
    with pytest.raises(ValueError, match="a reference with a word"):
        Captioning()([prediction(0, "no edema", " ... ")])
