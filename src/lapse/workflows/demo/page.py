"""The results of the demo -> HTML report: scores with baselines, curves, test pairs, boxes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.tokenizer import bins_box, find_box, without_box
from lapse.core.types import Pair, Prediction, Score
from lapse.data.store.store import Store
from lapse.evaluation.html import (
    BoxExample,
    Chart,
    Curve,
    GroundingExample,
    ModelAnswer,
    PairExample,
    RunReport,
    Table,
)
from lapse.evaluation.score_tables import format_score
from lapse.inference.pretrained import Lapse
from lapse.workflows.demo.packaged_model import PACKAGED_MODEL, answer_pairs
from lapse.workflows.demo.verdict import is_right, verdict

MODEL = "lapse, tiny"
REGIONS = "lapse, tiny: regions"
TASKS = ("cap", "aref", "gcap", "caref")
NUM_PAIRS = 6
NUM_BOXES = 6
GAP_TITLE = "Stage 1: cost of another patient's image (0: the image is ignored)"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that the page shows. `scores`: system -> task -> metric -> Score."""

    store: Store
    folder: Path
    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Mapping[str, Mapping[str, Score]]]
    facts: Mapping[str, str]
    num_patients: int
    num_bins: int
    packaged_model: Lapse | None = None


def build_report(result: DemoResult) -> RunReport:
    """The report of one run of the demo."""
    charts = _charts(result.folder)
    return RunReport(
        title="lapse demo: what changed between two simulated chest radiographs",
        summary=(
            f"{result.num_patients} patients were simulated with several examinations each, "
            "written in the layouts of MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA, read "
            "back, and used for both stages of the paper at a size that a CPU trains in minutes.",
            "A few minutes on a CPU are too short to learn to read images. The tiny model learns "
            "the language of the answers and the usual position of each region. Expect scores at "
            "the level of the image-blind baselines in the tables. The demo shows that every "
            "stage runs, not that the method works.",
            _validation_sentence(charts[:2]),
            *packaged_model_sentence(result),
        ),
        charts=charts,
        tables=(
            _difference_table(result),
            _consistency_table(result),
            _region_table(
                result,
                "caref",
                "CAREF: the box of a named region, test patients",
                ("Acc@0.5", "mean IoU", "malformed rate"),
                "Baseline: the mean training box of the named region. A malformed box is a miss.",
            ),
            _region_table(
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
    pretrain = _read_metrics(folder / "pretrain")
    stage_two = []
    for run, name in (("diffvqa", "both images"), ("text-only", "text only")):
        lines = _read_metrics(folder / run)
        points = _points(lines, "validate/diff_vqa")
        stage_two.append(Curve(f"{name}, validation", points, is_validation=True))
        stage_two.append(Curve(f"{name}, training", _points(lines, "loss/diff_vqa")))
    losses, gaps = (
        tuple(
            Curve(f"{task}, validation", _points(pretrain, f"{key}/{task}"), is_validation=True)
            for task in TASKS
        )
        for key in ("validate", "image_gap")
    )
    return (
        Chart("Stage 1: four tasks on validation patients", losses),
        Chart("Stage 2: difference questions", tuple(stage_two)),
        Chart(GAP_TITLE, gaps, y_label="added loss per token (nats)", min_range=0.04),
    )


def _read_metrics(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _points(lines: Sequence[Mapping[str, float]], key: str) -> tuple[tuple[int, float], ...]:
    """(step, value) of one key, in order."""
    return tuple((int(line["step"]), float(line[key])) for line in lines if key in line)


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


def packaged_model_sentence(result: DemoResult) -> tuple[str, ...]:
    """What the page says about the packaged model, () without one."""
    if result.packaged_model is None:
        return ()
    facts = result.packaged_model.parts.facts
    names = ("trained on", "pretrain: steps", "diffvqa: steps")
    training = "; ".join(f"{name}: {facts[name]}" for name in names if name in facts)
    return (
        f"For comparison, the page also shows {PACKAGED_MODEL}, trained for longer on other "
        f"simulated patients ({training}): a row in the first table, and for each pair its "
        "answer, the fraction of the beam behind each change, and the boxes of the findings.",
    )


def plain_value(scores: Mapping[str, Score], name: str) -> str:
    """A score as a table shows it: "-" where it is missing or undefined."""
    is_defined = name in scores and not math.isnan(scores[name].value)
    return f"{scores[name].value:.3f}" if is_defined else "-"


def _task_rows(result: DemoResult, task: str, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """System, number of samples and scores, for the systems that were scored on a task."""
    return tuple(
        (
            system,
            str(sum(item.task == task for item in result.predictions[system])),
            *(plain_value(scores[task], name) for name in names),
        )
        for system, scores in result.scores.items()
        if task in scores
    )


def _difference_table(result: DemoResult) -> Table:
    names = (
        *("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
        *("change precision", "change recall", "change F1", "exact match", "unparsed rate"),
    )
    return Table(
        "Difference questions, test patients",
        ("system", "n", *names),
        _task_rows(result, "diff_vqa", names),
        note="Change scores compare the sets of changes (finding and direction) that the grammar "
        "parses from answer and truth. A fixed template already scores well on n-gram metrics, "
        "but not on change scores. Image-blind baselines: text-only model, constant answer, "
        "nothing has changed, random training answer.",
        marked=(MODEL, PACKAGED_MODEL),
    )


def _consistency_table(result: DemoResult) -> Table:
    scores = result.scores[MODEL].get("consistency", {})
    return Table(
        "Consistency of the model, which needs no true answers",
        ("law", "n", "satisfied"),
        tuple((name, score.details["n"], format_score(score)) for name, score in scores.items()),
        note="Swap law: swapping the two images must invert the answer. Identity: two identical "
        "images must be answered with “nothing has changed”. answers.html in the same folder "
        "shows the answers case by case.",
    )


def _region_table(
    result: DemoResult, task: str, title: str, names: Sequence[str], note: str
) -> Table:
    rows = _task_rows(result, task, names)
    return Table(title, ("system", "n", *names), rows, note, marked=(REGIONS,))


def pair_examples(result: DemoResult) -> tuple[PairExample, ...]:
    """Test pairs of different patients, in file order and independent of their answers."""
    predictions = {item.id: item for item in result.predictions[MODEL]}
    pair_of_patient: dict[str, Pair] = {}
    for pair in result.store.pairs_of("test"):
        item = predictions.get(f"diff_vqa/{pair.id}")
        if item is not None and len(pair_of_patient) < NUM_PAIRS:
            pair_of_patient.setdefault(item.patient, pair)
    pairs = list(pair_of_patient.values())
    other_answers: Mapping[str, ModelAnswer] = {}
    if result.packaged_model is not None:
        other_answers = answer_pairs(result.packaged_model, result.store, pairs)
    examples = []
    for pair in pairs:
        item = predictions[f"diff_vqa/{pair.id}"]
        text, truth = item.prediction, item.references[0]
        answer = ModelAnswer("Answer", text, is_right(text, truth), verdict(text, truth))
        examples.append(
            PairExample(
                reference=result.store.pixels(pair.reference.image),
                main=result.store.pixels(pair.main.image),
                question=pair.question,
                truth=truth,
                answers=(answer, *([other_answers[pair.id]] if pair.id in other_answers else [])),
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
    examples = []
    for region, item in by_task["caref", image].items():
        truth, box = find_box(item.references[0]), find_box(item.prediction)
        if truth is None:
            continue
        is_valid = box is not None and max(box) < result.num_bins
        words = (
            described[region].prediction if region in described else without_box(item.prediction)
        )
        examples.append(
            BoxExample(
                label=region,
                truth=bins_box(truth, result.num_bins),
                predicted=bins_box(box, result.num_bins) if box and is_valid else None,
                words=words,
                truth_words=without_box(item.references[0]),
            )
        )
    title = "One test image: CAREF boxes and GCAP words"
    return (GroundingExample(result.store.pixels(image), title, tuple(examples[:NUM_BOXES])),)
