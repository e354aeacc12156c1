"""The small model of the package beside the run that the demo trains: the same test pairs.

    OUT/store, src/lapse/assets/model -> predictions, and opinions with boxes on a few pairs

Where the package carries no model there is nothing beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lapse.core.types import Pair, Prediction
from lapse.data.store.store import Store
from lapse.evaluation.html import ModelAnswer
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import DEFAULT, Comparison, Lapse, load
from lapse.training.run_folder import LoadedRun
from lapse.workflows.demo.verdict import is_right, verdict

SMALL = "the small model of the package"
OPINION = "Small model"  # beside a pair


def is_packaged(folder: Path = DEFAULT) -> bool:
    """Whether this installation carries a trained model."""
    return (folder / "config.json").is_file()


def small_model(store: Store, say: Callable[[str], None], folder: Path = DEFAULT) -> Lapse | None:
    """The model of the package, None where there is none that reads images of this size."""
    if not is_packaged(folder):
        say("the package carries no trained model: the demo's own run stands alone")
        return None
    model = load(folder, device="cpu")
    if model.image_size != store.info.size:
        say(f"{SMALL} reads {model.image_size} px and the demo has {store.info.size}: not shown")
        return None
    return model


def small_answers(
    model: Lapse, data: Path, limit: int, progress: Callable[[int, int], None]
) -> list[Prediction]:
    """Its answers to the difference questions that the demo's run answers."""
    answerer = model.answerer
    device = next(answerer.parameters()).device
    run = LoadedRun(data, model.parts.diffvqa, answerer.tokenizer, answerer, device, 0)
    options = PredictOptions(limit=limit, confidence="beam")
    return list(predict(run, data, "test", options, progress=progress))


def opinions(model: Lapse, store: Store, pairs: Sequence[Pair]) -> dict[str, ModelAnswer]:
    """Id of a pair -> its answer, how sure of each change, and where it sees the findings."""
    found = {}
    for pair in pairs:
        reference, main = (store.pixels(study.image) for study in (pair.reference, pair.main))
        said = model.compare(reference, main, pair.question)
        found[pair.id] = _opinion(said, pair.answer)
    return found


def _opinion(said: Comparison, truth: str) -> ModelAnswer:
    first, *notes = said.answer.lines()[:-1]  # the sentence on research use stands on the page
    return ModelAnswer(
        name=OPINION,
        text=first.removeprefix("answer: "),
        verdict=verdict(said.text, truth),
        is_right=is_right(said.text, truth),
        notes=tuple(note.strip() for note in notes),
        boxes=said.boxes,
    )
