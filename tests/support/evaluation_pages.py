"""An evaluation report on the tiny store: right, wrong and unparsable answers with boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tiny_store
from lapse.core.changes import Change, render
from lapse.core.types import Box, Prediction, Region
from lapse.data.store.info import Origin
from lapse.data.store.store import Store, open_store
from lapse.data.store.writer import write_store
from lapse.evaluation.html.evaluation_page import EvaluationReport
from lapse.metrics.abstention import Threshold
from lapse.metrics.confidence import BEAM, change_key

EDEMA, HERNIA = Change("edema", "added"), Change("hernia", "missing")
LEVEL = Change("pneumonia", "level", "mild", "severe")
CHANGES = ([EDEMA], [HERNIA], [], [EDEMA, HERNIA], [LEVEL])
SCORES = {
    "provenance": {"n": "24", "data release": "invented"},
    "scores": {
        "diff_vqa": {
            "exact match": {"value": 0.5, "low": 0.4, "high": 0.6},
            "edema F1": {"value": 0.5, "low": 0.2, "high": 0.7},
            "odd": {"value": "none"},
        },
        "consistency": {"swap law": {"value": 0.25}},
    },
    "comparisons": {"constant answer": {"diff_vqa": {"exact match": {"value": 0.125}}}},
    "subgroups": {"view": {"PA": {"exact match": {"value": 0.75}}, "AP": {"note": "hidden"}}},
}


def write_page_store(folder: Path) -> Store:
    """Every pair of the tiny store, with answers that the grammar parses and regions with boxes."""
    studies = [
        replace(
            study,
            regions=(
                Region("right lung", ("There is edema.", "No hernia."), Box(0.1, 0.1, 0.5, 0.9)),
                Region("carina", ("Mild edema.",), Box(0.4, 0.4, 0.6, 0.6)),
            ),
        )
        for study in tiny_store.studies()
    ]
    pairs = [
        replace(pair, answer=render(CHANGES[number % len(CHANGES)]))
        for number, pair in enumerate(tiny_store.pairs(studies))
    ]
    write_store(
        folder,
        [(study, tiny_store.pixels(study.image)) for study in studies],
        pairs,
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    return open_store(folder)


def predictions(store: Store) -> list[Prediction]:
    """One answer per pair: right, that of another pair, or not a sentence."""
    rows = []
    for number, pair in enumerate(store.pairs):
        changes = list(CHANGES[(number + number % 3) % len(CHANGES)])
        confidence = {BEAM + change_key(change): (number % 10) / 10 for change in changes}
        rows.append(
            Prediction(
                id=f"diff_vqa/{pair.id}",
                task="diff_vqa",
                prediction="<script>alert(1)</script>" if number == 7 else render(changes),
                references=(pair.answer,),
                patient=pair.main.patient,
                prompt=pair.question,
                confidence=confidence | {"answer": (number % 10) / 10},
            )
        )
    return rows


def evaluation_report(store: Store) -> EvaluationReport:
    """A report with twelve cases, scores and a threshold."""
    return EvaluationReport(
        title="Page <1>",
        predictions=predictions(store),
        scores=SCORES,
        store=store,
        threshold=Threshold("beam", 0.1, 0.5, 99, 200, 0.08),
        num_cases=12,
    )
