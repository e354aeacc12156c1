"""The results of the demo -> HTML report: scores with baselines, curves, test pairs, boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.tokenizer import bins_box, find_box, without_box
from lapse.core.types import Pair, Prediction, Score
from lapse.data.store.store import Store
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.line_chart import Chart, Curve
from lapse.evaluation.html.run_page import (
    BoxExample,
    GroundingExample,
    ModelAnswer,
    PairExample,
    RunReport,
)
from lapse.evaluation.score_tables import format_score, interval_notes
from lapse.inference.pretrained import Lapse
from lapse.training.metrics_log import read_curve
from lapse.workflows.demo.packaged_model import PACKAGED_MODEL, answer_pairs
from lapse.workflows.demo.verdict import is_right, verdict

MODEL = "lapse, continued on the demo's patients"
REGIONS = "lapse, continued: regions"
TASKS = ("cap", "aref", "gcap", "caref")
NUM_PAIRS = 6
NUM_BOXES = 6
GAP_TITLE = "Cost of another patient's images (0: the images are ignored)"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that the page shows. `scores`: system -> task -> metric -> Score.

    `is_improved`: the validation loss of stage 2 is not above that of the packaged weights.
    """

    store: Store
    folder: Path
    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Mapping[str, Mapping[str, Score]]]
    facts: Mapping[str, str]
    num_patients: int
    packaged_model: Lapse
    is_improved: bool


def is_improved(folder: Path) -> bool:
    """Whether stage 2 ended with a validation loss not above its first, of the packaged weights."""
    losses = read_curve(folder / "diffvqa", "validate/diff_vqa")
    return losses[-1][1] <= losses[0][1]


def build_report(result: DemoResult) -> RunReport:
    """The report of one run of the demo."""
    charts = _charts(result.folder)
    return RunReport(
        title="lapse demo: what changed between two simulated chest radiographs",
        summary=(
            f"{result.num_patients} patients were simulated with several examinations each, "
            "written in the layouts of MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA, read "
            "back, and used for both stages of the paper at a size that a CPU trains in minutes.",
            "Training from random weights takes hours until a model uses its images. Both stages "
            "therefore continue for a few minutes from the packaged weights, which were trained on "
            f"other simulated patients ({training_facts(result.packaged_model)}). The image-blind "
            "text-only model continues from the same weights for the same number of steps.",
            _validation_sentence(charts[:2]),
            comparison_sentence(result),
        ),
        charts=charts,
        tables=(
            _score_table(
                result,
                "diff_vqa",
                "Difference questions, test patients",
                (
                    *("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
                    *("change precision", "change recall", "change F1", "exact match"),
                    "unparsed rate",
                ),
                "Change scores compare the sets of changes (finding and direction) that the "
                "grammar parses from answer and truth. A fixed template already scores well on "
                "n-gram metrics, but not on change scores. Image-blind baselines: text-only model, "
                "constant answer, nothing has changed, random training answer.",
            ),
            _consistency_table(result),
            _score_table(
                result,
                "caref",
                "CAREF: the box of a named region, test patients",
                ("Acc@0.5", "mean IoU", "malformed rate"),
                "Baseline: the mean training box of the named region. A malformed box is a miss.",
            ),
            _score_table(
                result,
                "gcap",
                "GCAP: the words for a box, test patients",
                ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
                "Baseline: a random phrase of the training reports.",
            ),
        ),
        pairs=pair_examples(result),
        grounding=_grounding(result),
        provenance=result.facts,
    )


def _charts(folder: Path) -> tuple[Chart, ...]:
    def validation(name: str, run: str, key: str) -> Curve:
        return Curve(f"{name}, validation", read_curve(folder / run, key), is_validation=True)

    losses = [validation(task, "pretrain", f"validate/{task}") for task in TASKS]
    gaps = [validation(task, "pretrain", f"image_gap/{task}") for task in TASKS]
    gaps.append(validation("diff_vqa", "diffvqa", "image_gap/diff_vqa"))
    stage_two = []
    for run, name in (("diffvqa", "both images"), ("text-only", "text only")):
        stage_two.append(validation(name, run, "validate/diff_vqa"))
        stage_two.append(Curve(f"{name}, training", read_curve(folder / run, "loss/diff_vqa")))
    return (
        Chart("Stage 1: four tasks on validation patients", tuple(losses)),
        Chart("Stage 2: difference questions", tuple(stage_two)),
        Chart(GAP_TITLE, tuple(gaps), y_label="added loss per token (nats)", min_range=0.04),
    )


def _validation_sentence(charts: Sequence[Chart]) -> str:
    losses, not_falling = [], []
    for curve in (curve for chart in charts for curve in chart.curves):
        if curve.is_validation and curve.points:
            name = curve.name.removesuffix(", validation")
            first, last = curve.points[0][1], curve.points[-1][1]
            losses.append(f"{name} {first:.2f} to {last:.2f}")
            if not last < first:
                not_falling.append(name)
    result = f"Not falling: {', '.join(not_falling)}." if not_falling else "All of them fell."
    return f"Loss on validation patients, first to last: {'; '.join(losses)}. {result}"


def training_facts(model: Lapse) -> str:
    """What the packaged model was trained on."""
    facts = model.parts.facts
    names = ("trained on", "pretrain: steps", "diffvqa: steps")
    return "; ".join(f"{name}: {facts[name]}" for name in names if name in facts)


def comparison_sentence(result: DemoResult) -> str:
    """The change F1 of the model, of the packaged model, and of the best image-blind baseline."""
    values = {
        system: scores["diff_vqa"]["change F1"].value
        for system, scores in result.scores.items()
        if "change F1" in scores.get("diff_vqa", {})
    }
    values = {system: 0.0 if math.isnan(value) else value for system, value in values.items()}
    blind = [system for system in values if system not in (MODEL, PACKAGED_MODEL)]
    best = max(blind, key=lambda system: values[system])
    is_above = values[MODEL] > values[best]
    return (
        f"Change F1 on test patients (higher is better): {values[MODEL]:.3f}; packaged model "
        f"before the demo {values[PACKAGED_MODEL]:.3f}; best image-blind baseline "
        f"{values[best]:.3f} ({best}). The model is {'above' if is_above else 'NOT above'} every "
        "image-blind baseline."
    )


def task_rows(result: DemoResult, task: str, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """System, number of samples and scores of each system of a task; last, what is better."""
    of_task = {name: scores[task] for name, scores in result.scores.items() if task in scores}
    rows = (
        (
            system,
            str(sum(item.task == task for item in result.predictions[system])),
            *(format_score(scores.get(name)) for name in names),
        )
        for system, scores in of_task.items()
    )
    return (*rows, ("better", "", *(_direction(of_task.values(), name) for name in names)))


def _direction(scores: Iterable[Mapping[str, Score]], name: str) -> str:
    return next((of_system[name].direction for of_system in scores if name in of_system), "-")


def _score_table(
    result: DemoResult, task: str, title: str, names: Sequence[str], note: str
) -> Table:
    """Its note ends with intervals that are absent, or that few patients make unreliable."""
    scores = next((scores[task] for scores in result.scores.values() if task in scores), {})
    details = {name: scores[name].details for name in names if name in scores}
    note = " ".join((note, *(f"{text}." for text in interval_notes(details))))
    columns, rows = ("system", "n", *names), task_rows(result, task, names)
    return Table(title, columns, rows, note, marked=(MODEL, PACKAGED_MODEL, REGIONS))


def _consistency_table(result: DemoResult) -> Table:
    scores = result.scores[MODEL].get("consistency", {})
    return Table(
        "Consistency of the model, which needs no true answers",
        ("law", "n", "satisfied", "better"),
        tuple(
            (name, score.details["n"], format_score(score), score.direction)
            for name, score in scores.items()
        ),
        note="Swap law: swapping the two images must invert the answer. Identity: two identical "
        "images must be answered with “nothing has changed”. answers.html in the same folder "
        "shows the answers case by case.",
    )


def pair_examples(result: DemoResult) -> tuple[PairExample, ...]:
    """Test pairs of different patients, in file order and independent of their answers.

    The answer of the model with the lower validation loss is the first of each pair.
    """
    predictions = {item.id: item for item in result.predictions[MODEL]}
    pair_of_patient: dict[str, Pair] = {}
    for pair in result.store.pairs_of("test"):
        item = predictions.get(f"diff_vqa/{pair.id}")
        if item is not None and len(pair_of_patient) < NUM_PAIRS:
            pair_of_patient.setdefault(item.patient, pair)
    pairs = list(pair_of_patient.values())
    other_answers = answer_pairs(result.packaged_model, result.store, pairs)
    examples = []
    for pair in pairs:
        item = predictions[f"diff_vqa/{pair.id}"]
        text, truth = item.prediction, item.references[0]
        answer = ModelAnswer("Continued model", text, is_right(text, truth), verdict(text, truth))
        answers = (answer, other_answers[pair.id])
        examples.append(
            PairExample(
                reference=result.store.pixels(pair.reference.image),
                main=result.store.pixels(pair.main.image),
                question=pair.question,
                truth=truth,
                answers=answers if result.is_improved else answers[::-1],
            )
        )
    return tuple(examples)


def _grounding(result: DemoResult) -> tuple[GroundingExample, ...]:
    """CAREF boxes and GCAP words of the test image with the most boxes."""
    by_task: dict[tuple[str, str], dict[str, Prediction]] = {}  # (task, image) -> region -> item
    for item in result.predictions[REGIONS]:
        _, image, region, *_ = item.id.split("/")
        by_task.setdefault((item.task, image), {})[region] = item
    images = [image for task, image in by_task if task == "caref"]
    if not images:
        return ()
    image = max(images, key=lambda name: len(by_task["caref", name]))
    described = by_task.get(("gcap", image), {})
    num_bins = result.store.info.size
    examples = []
    for region, item in by_task["caref", image].items():
        truth, box = find_box(item.references[0]), find_box(item.prediction)
        if truth is None:
            continue
        is_valid = box is not None and max(box) < num_bins
        words = (
            described[region].prediction if region in described else without_box(item.prediction)
        )
        examples.append(
            BoxExample(
                label=region,
                truth=bins_box(truth, num_bins),
                predicted=bins_box(box, num_bins) if box and is_valid else None,
                words=words,
                truth_words=without_box(item.references[0]),
            )
        )
    title = "One test image: CAREF boxes and GCAP words"
    return (GroundingExample(result.store.pixels(image), title, tuple(examples[:NUM_BOXES])),)
