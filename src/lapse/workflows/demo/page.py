"""The demo's results -> the page: curves, the table with its blind rows, six pairs, boxes."""

from __future__ import annotations

import json
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
from lapse.workflows.demo.packaged_model import SMALL, opinions
from lapse.workflows.demo.verdict import is_right, verdict

MODEL = "lapse, tiny"
REGIONS = "lapse, tiny: regions"
TASKS = ("cap", "aref", "gcap", "caref")
NUM_PAIRS = 6
GAP_TITLE = "Stage 1: what another patient's image costs (0: blind)"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything the page shows. `scores`: row -> task -> metric -> Score."""

    store: Store
    folder: Path
    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Mapping[str, Mapping[str, Score]]]
    facts: Mapping[str, str]
    patients: int
    num_bins: int
    small: Lapse | None = None  # of the package


def build_report(result: DemoResult) -> RunReport:
    """The report of one demo run."""
    charts = tuple(_charts(result.folder))
    return RunReport(
        title="lapse demo: what changed between two simulated chest radiographs",
        summary=(
            f"{result.patients} simulated patients were X-rayed several times, written to disk in "
            "the layouts of MIMIC-CXR-JPG, Chest ImaGenome and Medical-Diff-VQA, read back, and "
            "used for both stages of the paper at a size that a CPU trains in minutes.",
            "A few minutes on a CPU are too short to learn to read images. What the tiny model "
            "learns here is the language of the answers and the usual place of each region, so "
            "expect it to stand at the level of the blind rows below, which never see an image. "
            "The demo shows that every stage works, not that the method does.",
            _held_out_sentence(charts),
            *_small_sentence(result),
        ),
        charts=charts,
        tables=tuple(_tables(result)),
        pairs=tuple(_pairs(result)),
        grounding=tuple(_grounding(result)),
        provenance=result.facts,
    )


def read_metrics(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def series(lines: Sequence[Mapping[str, float]], key: str) -> tuple[tuple[int, float], ...]:
    """(step, value) of one key, in order."""
    return tuple((int(line["step"]), float(line[key])) for line in lines if key in line)


def _charts(folder: Path) -> list[Chart]:
    pretrain = read_metrics(folder / "pretrain")
    held_out = tuple(
        Curve(f"{task}, held out", series(pretrain, f"validate/{task}"), is_validation=True)
        for task in TASKS
    )
    stage_two = []
    for run, name in (("diffvqa", "both images"), ("text-only", "text only")):
        lines = read_metrics(folder / run)
        points = series(lines, "validate/diff_vqa")
        stage_two.append(Curve(f"{name}, held out", points, is_validation=True))
        stage_two.append(Curve(f"{name}, training", series(lines, "loss/diff_vqa")))
    gaps = tuple(
        Curve(f"{task}, held out", series(pretrain, f"image_gap/{task}"), is_validation=True)
        for task in TASKS
    )
    return [
        Chart("Stage 1: four tasks on held-out patients", held_out),
        Chart("Stage 2: difference questions", tuple(stage_two)),
        Chart(GAP_TITLE, gaps, y_label="added loss per token (nats)", min_range=0.04),
    ]


def _held_out_sentence(charts: Sequence[Chart]) -> str:
    parts, risen = [], []
    for chart in charts:
        if chart.title == GAP_TITLE:
            continue
        for curve in chart.curves:
            if curve.is_validation and curve.points:
                name = curve.name.removesuffix(", held out")
                first, last = curve.points[0][1], curve.points[-1][1]
                parts.append(f"{name} {first:.2f} to {last:.2f}")
                if not last < first:
                    risen.append(name)
    verdict = f"These did not fall: {', '.join(risen)}." if risen else "All of them fell."
    listed = "; ".join(parts)
    return f"Loss on held-out patients, first to last: {listed}. {verdict}"


def _small_sentence(result: DemoResult) -> tuple[str, ...]:
    if result.small is None:
        return ()
    told = result.small.parts.facts
    names = ("trained on", "pretrain: steps", "diffvqa: steps")
    facts = "; ".join(f"{name}: {told[name]}" for name in names if name in told)
    return (
        f"Beside it stands {SMALL}, trained for longer on other simulated patients ({facts}): a "
        "row in the first table, and under each pair its answer, the share of the beam behind "
        "each change, and the boxes where it sees the findings.",
    )


def _cell(scores: Mapping[str, Score], name: str) -> str:
    return f"{scores[name].value:.3f}" if name in scores else "-"


def _tables(result: DemoResult) -> list[Table]:
    tables = [_difference_table(result), _consistency_table(result)]
    return [*tables, _box_table(result), _phrase_table(result)]


def _difference_table(result: DemoResult) -> Table:
    names = (
        *("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
        *("change precision", "change recall", "change F1", "exact match", "unparsed rate"),
    )
    rows = []
    for row, scores in result.scores.items():
        if "diff_vqa" not in scores:
            continue
        n = sum(item.task == "diff_vqa" for item in result.predictions[row])
        values = scores["diff_vqa"]
        rows.append((row, str(n), *(_cell(values, name) for name in names)))
    return Table(
        "Difference questions, test patients",
        ("system", "n", *names),
        tuple(rows),
        note="Change scores compare the set of changes (finding and direction) that the grammar "
        "reads in answer and truth; template words earn n-gram points but no change points. The "
        "rows text-only, constant, nothing has changed and random never see an image.",
        marked=(MODEL, SMALL),
    )


def _consistency_table(result: DemoResult) -> Table:
    found = result.scores[MODEL].get("consistency", {})
    rows = tuple((name, score.details["n"], format_score(score)) for name, score in found.items())
    return Table(
        "Consistency of the model: laws that need no truth",
        ("law", "n", "kept"),
        rows,
        note="Swap law: exchanging the two images must invert the answer. Identity: the same "
        "image twice must be answered with “nothing has changed”. The page answers.html beside "
        "this one shows the answers case by case.",
    )


def _region_rows(
    result: DemoResult, task: str, names: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    rows = []
    for row, scores in result.scores.items():
        if task in scores:
            n = sum(item.task == task for item in result.predictions[row])
            rows.append((row, str(n), *(_cell(scores[task], name) for name in names)))
    return tuple(rows)


def _box_table(result: DemoResult) -> Table:
    names = ("Acc@0.5", "mean IoU", "malformed rate")
    return Table(
        "CAREF: the box of a named region, test patients",
        ("system", "n", *names),
        _region_rows(result, "caref", names),
        note="Blind row: the mean training box of the named region. A malformed box is a miss.",
        marked=(REGIONS,),
    )


def _phrase_table(result: DemoResult) -> Table:
    names = ("BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
    return Table(
        "GCAP: the words for a box, test patients",
        ("system", "n", *names),
        _region_rows(result, "gcap", names),
        note="Blind row: a random phrase of the training reports.",
        marked=(REGIONS,),
    )


def _pairs(result: DemoResult) -> list[PairExample]:
    """Six test pairs of six patients, in file order: none is picked for its answer."""
    said = {item.id: item for item in result.predictions[MODEL]}
    pairs: list[Pair] = []
    seen: set[str] = set()
    for pair in result.store.pairs_of("test"):
        item = said.get(f"diff_vqa/{pair.id}")
        if item is None or item.patient in seen:
            continue
        seen.add(item.patient)
        pairs.append(pair)
        if len(pairs) == NUM_PAIRS:
            break
    beside = opinions(result.small, result.store, pairs) if result.small is not None else {}
    cases: list[PairExample] = []
    for pair in pairs:
        item = said[f"diff_vqa/{pair.id}"]
        truth = item.references[0]
        cases.append(
            PairExample(
                reference=result.store.pixels(pair.reference.image),
                main=result.store.pixels(pair.main.image),
                question=pair.question,
                truth=truth,
                answers=(
                    ModelAnswer(
                        name="Answer",
                        text=item.prediction,
                        is_right=is_right(item.prediction, truth),
                        verdict=verdict(item.prediction, truth),
                    ),
                    *([beside[pair.id]] if pair.id in beside else []),
                ),
            )
        )
    return cases


def _grounding(result: DemoResult) -> list[GroundingExample]:
    """CAREF boxes and GCAP words of the first test image that has both."""
    found = result.predictions[REGIONS]
    images = [item.id.split("/")[1] for item in found if item.task == "caref"]
    if not images:
        return []
    image = max(dict.fromkeys(images), key=images.count)
    words = {
        item.id.split("/")[2]: item
        for item in found
        if item.task == "gcap" and item.id.split("/")[1] == image
    }
    cases = []
    for item in found:
        if item.task != "caref" or item.id.split("/")[1] != image:
            continue
        region = item.id.split("/")[2]
        truth = find_box(item.references[0])
        if truth is None:
            continue
        box = find_box(item.prediction)
        in_range = box is not None and max(box) < result.num_bins
        described = words.get(region)
        cases.append(
            BoxExample(
                label=region,
                truth=bins_box(truth, result.num_bins),
                predicted=bins_box(box, result.num_bins) if box and in_range else None,
                words=described.prediction if described else without_box(item.prediction),
                truth_words=without_box(item.references[0]),
            )
        )
    pixels = result.store.pixels(image)
    return [
        GroundingExample(pixels, "One test image: CAREF boxes and GCAP words", tuple(cases[:6]))
    ]
