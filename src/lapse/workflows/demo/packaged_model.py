"""The small model of the package on the test pairs of the demo.

OUT/store, src/lapse/assets/model -> predictions, and answers with boxes to a few pairs
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lapse.core.progress import Progress, no_progress
from lapse.core.types import Pair, Prediction
from lapse.data.store.store import Store
from lapse.evaluation.html.run_page import ModelAnswer
from lapse.inference.answer import AnswerOptions
from lapse.inference.answerers import ModelAnswerer, ModelGuards
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import Lapse, ModelImage
from lapse.workflows.demo.verdict import is_right, verdict

PACKAGED_MODEL = "the packaged model"
ANSWER_NAME = "Packaged model"  # in the list of answers to a pair
# the answers of the table of scores, which `predict_pairs` scores
BEAM_ALONE = AnswerOptions(guarded=False, allow_unusual=True)


def predict_pairs(
    model: Lapse, data: Path, limit: int, progress: Progress = no_progress
) -> list[Prediction]:
    """The answers of the model to the difference questions of the test split."""
    options = PredictOptions(limit=limit, confidence="beam")
    guards = ModelGuards(model.parts.processing)
    answerer = ModelAnswerer(model.answerer, model.parts.diffvqa, options, guards=guards)
    return list(predict(answerer, data, "test", options, progress=progress))


def answer_pairs(model: Lapse, store: Store, pairs: Sequence[Pair]) -> dict[str, ModelAnswer]:
    """Id of a pair -> answer, confidence in each change, and boxes of the findings."""
    answers = {}
    for pair in pairs:
        reference, main = (
            ModelImage.of_store(store.pixels(study.image)) for study in (pair.reference, pair.main)
        )
        comparison = model.compare(reference, main, pair.question, BEAM_ALONE)
        answer, *notes = comparison.answer.body()
        answers[pair.id] = ModelAnswer(
            name=ANSWER_NAME,
            text=answer.removeprefix("answer: "),
            is_right=is_right(comparison.text, pair.answer),
            verdict=verdict(comparison.text, pair.answer),
            notes=tuple(note.strip() for note in notes),
            boxes=comparison.boxes,
        )
    return answers
