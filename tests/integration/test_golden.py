"""Behaviour recorded before the move to the layout of version 0.2; a refactor must not change it.

`python tests/integration/test_golden.py` wrote the values (it prints the file) on version 0.1.0.
Answers and boxes are compared as text, losses and scores within the rounding of another processor.
The losses of the two contrastive presets were recorded again when their bias became -log(B - 1).
Answers and losses were recorded again when `prepare` began to equalise every image: the JPEGs of
the phantom are equalised in part, so the pixels of the store changed. The answers were recorded in
bf16 then, and again in fp32: answers on a CPU are computed in fp32. Their texts did not change.
The answers were recorded once more for the second packaged model, and for its third run.
"""

import json
import sys
from pathlib import Path

import pytest

import lapse
from lapse.config import load_config
from lapse.core.types import Prediction
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.inference.answer import AnswerOptions
from lapse.inference.pretrained import ModelImage
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.trainer import train

GOLDEN = Path(__file__).parent / "golden.json"
NUM_PAIRS = 40
PRESETS = (
    "pretrain-tiny",
    "pretrain-locca-tiny",
    "pretrain-cappa-tiny",
    "pretrain-global-tiny",
    "pretrain-regional-tiny",
    "pretrain-blip2-tiny",
    "pretrain-blip2-writer-tiny",
    "diffvqa-tiny",
    "diffvqa-text-only-tiny",
    "diffvqa-blip2-tiny",
    "diffvqa-ekaid-tiny",
    "diffvqa-plural-tiny",
    "diffvqa-plural-report-tiny",
    "diffvqa-real-tiny",
    "diffvqa-rgag-tiny",
)


def make_store(folder):
    """Sixty simulated patients at the image size of the tiny presets and the packaged model."""
    simulate(folder / "raw", SimulateConfig(patients=60, seed=11, size=160))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


def packaged_answers(store):
    """Pair id -> answer, its beam shares and boxes, of the model in the package."""
    model, data = lapse.load(device="cpu"), open_store(store)
    pairs = [pair for split in ("test", "validate", "train") for pair in data.pairs_of(split)]
    pairs = [pair for pair in pairs if pair.category == "difference"][:NUM_PAIRS]
    answers = {}
    for pair in pairs:
        images = [
            ModelImage.of_store(data.pixels(study.image)) for study in (pair.reference, pair.main)
        ]
        options = AnswerOptions(guarded=False, allow_unusual=True)
        comparison = model.compare(*images, pair.question, options)
        boxes = {
            f"{side}/{finding}": None
            if box is None
            else [box.x_min, box.y_min, box.x_max, box.y_max]
            for side, findings in comparison.boxes.items()
            for finding, box in findings.items()
        }
        answers[pair.id] = {
            "text": comparison.text,
            "confidence": dict(comparison.confidence),
            "boxes": boxes,
        }
    return answers


def first_losses(preset, store, out):
    """What the log holds after each of three steps."""
    changes = [
        "train.precision=fp32",
        "train.steps=3",
        "train.log_every=1",
        "train.eval_every=3",
        "train.save_every=3",
    ]
    train(
        load_config(preset, [*changes, "train.eval_samples=16", "train.batch_size=24"]), store, out
    )
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def predictions_of(store):
    """Each difference question answered with the next question's answer; two in three are right."""
    pairs = [pair for pair in open_store(store).pairs if pair.category == "difference"][:300]
    answers = [pair.answer for pair in pairs]
    return [
        Prediction(
            id=f"diff_vqa/{pair.id}",
            task="diff_vqa",
            prediction=answers[row - 1] if row % 3 == 0 else answers[row],
            references=(answers[row],),
            patient=pair.main.patient,
        )
        for row, pair in enumerate(pairs)
    ]


def scores_of(predictions):
    """Score name -> value and interval, with and without the scores that need Java.

    The recorded intervals count a resample of 0 / 0 as 0. Such resamples are left out now, so
    these scores have None for their interval.
    """
    found = {}
    for backend, options in (
        ("java", EvaluateOptions(resamples=200)),
        ("no-java", EvaluateOptions(resamples=200, use_java=False)),
    ):
        for name, score in evaluate(predictions, options)["diff_vqa"].items():
            is_defined = "undefined resamples" not in score.details
            interval = [score.low, score.high] if is_defined else None
            found[f"{backend}/{name}"] = [score.value, interval]
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_packaged_model_answers_as_before(store, golden):
    answers = packaged_answers(store)
    assert list(answers) == list(golden["answers"])
    for name, answer in answers.items():
        expected = golden["answers"][name]
        assert answer["text"] == expected["text"], name
        assert answer["boxes"] == expected["boxes"], name
        assert answer["confidence"] == pytest.approx(expected["confidence"], abs=1e-3), name


@pytest.mark.parametrize("preset", PRESETS)
def test_the_first_three_losses_are_as_before(preset, store, golden, tmp_path):
    lines = first_losses(preset, store, tmp_path / "run")
    assert len(lines) == len(golden["losses"][preset])
    for line, expected in zip(lines, golden["losses"][preset], strict=True):
        assert line == pytest.approx(expected, rel=2e-4, abs=2e-4)


def test_the_scores_are_as_before(store, golden):
    scores = scores_of(predictions_of(store))
    assert scores.keys() == golden["scores"].keys()
    for name, (value, interval) in scores.items():
        expected, *expected_interval = golden["scores"][name]
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
        if interval is not None:
            assert interval == pytest.approx(expected_interval, rel=1e-9, abs=1e-12), name


if __name__ == "__main__":
    work = Path(sys.argv[1])
    made = make_store(work)
    values = {
        "answers": packaged_answers(made),
        "losses": {name: first_losses(name, made, work / name) for name in PRESETS},
        "scores": scores_of(predictions_of(made)),
    }
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN
    target.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {target}")
