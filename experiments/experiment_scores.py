"""Endpoints of the experiment from the committed files of its runs (experiments/results).

    RESULTS/<arm>-<seed>/ -> endpoints of one run -> mean over seeds, with intervals over patients

The mean over seeds is one score whose statistics hold those of every seed, so the bootstrap over
patients and the paired test of `lapse.metrics` apply to it. An arm is compared with the reference
arm on the seeds that both have. Dimension legend: n questions, K columns of one seed, S seeds.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lapse.core.changes import UNCHANGED
from lapse.core.types import Prediction, Score, Statistics
from lapse.evaluation.blind_baselines import NOTHING
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.captioning import Captioning
from lapse.metrics.changes import Changes
from lapse.metrics.consistency import consistency
from lapse.metrics.paired_tests import Difference, compare
from lapse.metrics.statistics import Array, fraction_score

NLL = "NLL per token"
LOSS = "validation loss"
ENDPOINTS = (NLL, "change F1", "exact match", "BLEU-4", "swap law")  # in the protocol's order
OTHERS = ("METEOR", "ROUGE-L", "CIDEr")
BLIND_GAP = 0.005  # nats per token: a run with a smaller image gap is image-blind
RESAMPLES = 2000
BLIND = "blind.json"


@dataclass(frozen=True)
class Run:
    """The files of one arm at one seed."""

    folder: Path

    @property
    def arm(self) -> str:
        """The key of the arm."""
        return self.folder.name.rpartition("-")[0]

    @property
    def seed(self) -> int:
        """Of both stages."""
        return int(self.folder.name.rpartition("-")[2])

    @cached_property
    def facts(self) -> dict[str, Any]:
        """facts.json: arm, seed, device, torch, commit, and the provenance of the data."""
        values: dict[str, Any] = json.loads((self.folder / "facts.json").read_text("utf-8"))
        return values

    def predictions(self, name: str) -> list[Prediction]:
        """The answers of predictions-NAME.jsonl.gz."""
        packed = self.folder / f"predictions-{name}.jsonl.gz"
        plain = packed.with_suffix("")
        with gzip.open(packed, "rb") as file:
            plain.write_bytes(file.read())
        try:
            return read_predictions(plain)
        finally:
            plain.unlink()

    def log_probabilities(self) -> dict[str, tuple[float, int]]:
        """Sample id -> log-probability of the true answer in nats, and its tokens."""
        path = self.folder / "log-probability.jsonl.gz"
        if not path.is_file():
            return {}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return {row["id"]: (row["log_probability"], row["tokens"]) for row in rows}

    def curve(self, stage: str, key: str) -> list[tuple[int, float]]:
        """(step, value) of a key of metrics.jsonl; empty where the run has no such stage."""
        points = []
        for path in sorted(self.folder.glob(f"*-{stage}-metrics.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                values = json.loads(line)
                if key in values:
                    points.append((int(values["step"]), float(values[key])))
        return points

    def seconds(self, stage: str) -> float:
        """Seconds of the training steps of a stage, by the clock."""
        paths = sorted(self.folder.glob(f"*-{stage}-timing.jsonl"))
        lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
        return sum(float(json.loads(line)["seconds"]) for line in lines)

    @property
    def image_gap(self) -> float | None:
        """What the images of another patient add to the validation loss of stage 2."""
        points = self.curve("diffvqa", "image_gap/diff_vqa")
        return points[-1][1] if points else None

    @property
    def probe(self) -> float | None:
        """Mean AUROC of the linear probe (probe.json), None where it was not measured."""
        path = self.folder / "probe.json"
        return json.loads(path.read_text("utf-8"))["mean"] if path.is_file() else None


@dataclass(frozen=True)
class Endpoints:
    """The scores of one run on the test questions, without intervals."""

    run: Run | None
    patients: list[str]
    ids: list[str]
    scores: dict[str, Score] = field(repr=False)


def endpoints_of(run: Run) -> Endpoints:
    """Score one run."""
    answers = run.predictions("test")
    swapped = run.predictions("test-swap")
    scores = _text_scores(answers)
    law = consistency(answers, swapped)
    scores |= {name: score for name, score in law.items() if name == "swap law"}
    values = run.log_probabilities()
    if values:
        losses, tokens = zip(*(values[item.id] for item in answers), strict=True)
        nll = fraction_score(NLL, [-loss for loss in losses], tokens, {}, higher_is_better=False)
        scores[NLL] = replace(nll, value_range=None)
    patients = [item.patient for item in answers]
    return Endpoints(run, patients, [item.id for item in answers], scores)


def validation_of(run: Run) -> dict[str, float] | None:
    """Validation loss of stage 2, and change F1 and swap law of the answers to questions of
    validation patients; None where the run has no such answers."""
    if not (run.folder / "predictions-validate.jsonl.gz").is_file():
        return None
    answers = run.predictions("validate")
    law = consistency(answers, run.predictions("validate-swap"))
    return {
        LOSS: run.curve("diffvqa", "validate/loss")[-1][1],
        "change F1": Changes()(answers)["change F1"].value,
        "swap law": law["swap law"].value,
    }


def blind_endpoints(answers: Sequence[Prediction], results: Path) -> dict[str, Endpoints]:
    """Image-blind answers to the same questions: "nothing has changed", and RESULTS/blind.json.

    Args:
        answers: of any run; ids, patients and references are read.
        results: experiment_baselines.py writes blind.json there: baseline -> sample id -> answer.

    Raises:
        ValueError: blind.json does not answer all of the questions.
    """
    path = results / BLIND
    texts: dict[str, dict[str, str]] = {NOTHING: dict.fromkeys((a.id for a in answers), UNCHANGED)}
    if path.is_file():
        texts |= json.loads(path.read_text("utf-8"))
    patients, ids = [item.patient for item in answers], [item.id for item in answers]
    rows = {}
    for name, values in texts.items():
        if missing := set(ids) - set(values):
            raise ValueError(
                f"{path}: {name!r} has no answer to {len(missing)} questions, such as "
                f"{min(missing)}: write it again with experiment_baselines.py"
            )
        blind = [replace(item, prediction=values[item.id], confidence={}) for item in answers]
        rows[name] = Endpoints(None, patients, ids, _text_scores(blind))
    return rows


def _text_scores(answers: Sequence[Prediction]) -> dict[str, Score]:
    scores = Changes()(answers) | Captioning()(answers)
    return {name: scores[name] for name in (*ENDPOINTS, *OTHERS) if name in scores}


def mean_over_seeds(runs: Sequence[Endpoints]) -> dict[str, Score]:
    """The mean of every score over the runs, with its statistics; `details` has the range.

    Raises:
        ValueError: the runs answered different questions.
    """
    first = runs[0]
    for other in runs[1:]:
        if other.ids != first.ids:
            raise ValueError(f"{other.run} and {first.run} answered different questions")
    means = {}
    for name in first.scores:
        parts = [run.scores[name] for run in runs if name in run.scores]
        if len(parts) < len(runs):
            continue
        values = [part.value for part in parts]
        means[name] = Score(
            name,
            float(np.mean(values)),
            details={
                "n": str(len(first.ids)),
                "seeds": str(len(runs)),
                "range": f"{min(values):.3f} to {max(values):.3f}",
            },
            statistics=_joined([part.statistics for part in parts if part.statistics]),
            higher_is_better=parts[0].higher_is_better,
            value_range=parts[0].value_range,
        )
    return means


def _joined(parts: Sequence[Statistics]) -> Statistics | None:
    """Statistics of the mean of scores of the same samples; None where there are none."""
    if not parts:
        return None
    rows = np.concatenate([part.rows for part in parts], axis=1)  # [n, S K]
    edges = np.cumsum([0, *(part.rows.shape[1] for part in parts)])

    def score(sums: Array) -> Array:
        values = [
            part.score(sums[..., low:high])
            for part, low, high in zip(parts, edges[:-1], edges[1:], strict=True)
        ]
        mean: Array = np.mean(np.stack(values), axis=0)
        return mean

    return Statistics(rows, score)


@dataclass(frozen=True)
class Arm:
    """One arm: its scores over all of its seeds, and its differences from the reference arm."""

    key: str
    name: str
    runs: tuple[Endpoints, ...]
    scores: Mapping[str, Score]
    differences: Mapping[str, Difference]
    num_paired: int


def arms_of(runs: Sequence[Endpoints], reference: str, names: Mapping[str, str]) -> list[Arm]:
    """All arms that have a finished run, in the order of `names`; p-values are not corrected."""
    by_arm: dict[str, dict[int, Endpoints]] = {}
    for item in runs:
        if item.run is not None:
            by_arm.setdefault(item.run.arm, {})[item.run.seed] = item
    arms = []
    for key, name in names.items():
        if key not in by_arm:
            continue
        seeds = sorted(by_arm[key])
        items = [by_arm[key][seed] for seed in seeds]
        paired = [seed for seed in seeds if seed in by_arm.get(reference, {})]
        differences: dict[str, Difference] = {}
        if key != reference and paired:
            first = mean_over_seeds([by_arm[reference][seed] for seed in paired])
            second = mean_over_seeds([by_arm[key][seed] for seed in paired])
            rows = compare(first, second, items[0].patients, resamples=RESAMPLES)
            differences = {row.name: row for row in rows}
        scores = with_intervals(mean_over_seeds(items), items[0].patients, resamples=RESAMPLES)
        arms.append(Arm(key, name, tuple(items), scores, differences, len(paired)))
    return arms
