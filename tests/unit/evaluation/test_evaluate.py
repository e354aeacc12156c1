"""Scoring of predictions: metrics of each task, intervals, and scores that need Java."""

import logging
import math

import pytest

from lapse.core.types import Prediction, Score
from lapse.evaluation.evaluate import EvaluateOptions, Evaluator, evaluate

EDEMA = "the main image has an additional finding of edema than the reference image. "
NOTHING = "nothing has changed."
NO_JAVA = EvaluateOptions(use_java=False)


def diff(index: int, answer: str) -> Prediction:
    return Prediction(f"d{index}", "diff_vqa", answer, (EDEMA,), patient=f"p{index // 2}")


def caref(index: int, answer: str) -> Prediction:
    reference = ("No edema. [0, 0, 10, 10]",)
    return Prediction(
        f"caref/i{index}/spine", "caref", answer, reference, f"p{index}", "caref: spine:"
    )


class AnswerLength:
    """A metric as a plug-in would define it; counts its instances."""

    built = 0

    def __init__(self):
        AnswerLength.built += 1

    def __call__(self, predictions):
        lengths = [len(item.prediction) for item in predictions]
        return {"length": Score("length", sum(lengths) / len(lengths))}


def test_each_task_gets_its_metrics():
    items = [caref(0, "[0, 0, 10, 10]"), diff(0, EDEMA), caref(1, "?"), diff(2, NOTHING)]
    scores = evaluate(items, metrics={"diff_vqa": ("changes",)})
    assert list(scores) == ["caref", "diff_vqa"]
    assert scores["caref"]["Acc@0.5"].value == 0.5
    assert scores["diff_vqa"]["exact match"].value == 0.5
    assert "BLEU-4" not in scores["caref"] and "Acc@0.5" not in scores["diff_vqa"]


def test_an_extra_metric_scores_every_task_and_is_built_once():
    AnswerLength.built = 0
    options = EvaluateOptions(use_java=False, extra_metrics=(f"{__name__}:AnswerLength",))
    evaluator = Evaluator(options)
    for _ in range(2):
        scores = evaluator([caref(0, "12345"), Prediction("c", "cap", "123", ("x",))])
        assert {task: part["length"].value for task, part in scores.items()} == {
            "caref": 5.0,
            "cap": 3.0,
        }
    assert AnswerLength.built == 1


def test_an_unknown_metric_names_the_known():
    with pytest.raises(ValueError, match="known: changes, answer_accuracy"):
        evaluate([diff(0, EDEMA)], metrics={"diff_vqa": ("chnges",)})


def test_no_predictions_and_repeated_ids_are_refused():
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate([])
    with pytest.raises(ValueError, match="1 ids occur more than once, the first is 'd1'"):
        evaluate([diff(1, EDEMA), diff(1, NOTHING)])


def test_every_defined_score_has_an_interval():
    items = [diff(index, EDEMA if index % 3 else NOTHING) for index in range(30)]
    scores = evaluate(items, NO_JAVA)["diff_vqa"]
    undefined = {name for name, score in scores.items() if math.isnan(score.value)}
    assert undefined == {f"{kind} {part}" for kind in ("level", "missing")
                         for part in ("precision", "recall", "F1")}  # fmt: skip
    assert {name for name, score in scores.items() if score.low is None} == undefined
    exact = scores["exact match"]
    assert 0.0 < exact.low < exact.value < exact.high < 1.0
    assert exact.details["interval"] == "95%, 2000 resamples of 15 patients"
    for name in ("change F1", "edema added F1"):
        assert scores[name].low < scores[name].value < scores[name].high, name
    options = [EvaluateOptions(seed=seed, resamples=100, use_java=False) for seed in range(4)]
    assert len({evaluate(items, o)["diff_vqa"]["change F1"].low for o in options}) > 1


def test_scores_that_need_java_are_left_out_with_one_sentence(caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    items = [diff(0, EDEMA), Prediction("c", "cap", "x", ("y",))]
    evaluator = Evaluator(NO_JAVA)
    for _ in range(2):
        scores = evaluator(items)
        assert list(scores) == ["diff_vqa"] and "BLEU-4" not in scores["diff_vqa"]
    names = "BLEU-1, BLEU-2, BLEU-3, BLEU-4, METEOR, ROUGE-L, CIDEr"
    assert caplog.messages == [f"without Java, these scores are left out: {names}"]
    with pytest.raises(ValueError, match="every metric of these tasks needs Java"):
        evaluator(items[1:])
