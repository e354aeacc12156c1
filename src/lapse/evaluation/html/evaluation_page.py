"""A predictions file as one HTML page that a radiologist can read: numbers first, then cases.

    summary - scores - where it goes wrong - sureness - abstention - cases - all answers - origin

One file, no network, no outside font or script. Plots are inline SVG, images are JPEG data inside
the page; only some cases carry images, so that thousands of answers stay a few megabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lapse.core.grammar import FINDINGS, parse
from lapse.core.types import Prediction, Score
from lapse.data.store.store import Store
from lapse.evaluation.html.case_card import WORDS, case_html
from lapse.evaluation.html.case_selection import TASK, choose_cases, find_pairs
from lapse.evaluation.html.elements import Table, escape, table_html
from lapse.evaluation.html.filters import answer_list, filter_bar, script
from lapse.evaluation.html.plots import Bar, bar_chart, reliability_plot, risk_plot
from lapse.evaluation.html.style import RESEARCH_USE, STYLE
from lapse.evaluation.html.tables import (
    difference_tables,
    every_score,
    finding_intervals,
    format_cell,
    score_tables,
    subgroup_tables,
)
from lapse.metrics.abstention import Threshold, abstention_scores
from lapse.metrics.calibration import calibration_error, reliability, risk_area, risk_coverage
from lapse.metrics.confidence_scores import confidence_events
from lapse.metrics.error_types import KINDS, error_kinds

MAX_LISTED = 3000
# In the table, but not in the plots: two more curves would hide the others.
UNDRAWN = ("answers, by probability of the text", "answers, by probability per token")
KEPT = {
    "false-change rate": "answers that still state a false change, mean over patients",
    "changes kept": "of all named changes, those that are still stated",
    "true changes kept": "of the named changes that are true, those that are still stated",
    "precision, kept": "of the stated changes, those that are true",
    "recall, kept": "of all true changes, those that are stated",
    "answers kept whole": "answers without an undecided change",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a page is made of.

    Attributes:
        title: of the page.
        predictions: of one system; difference questions become cases.
        scores: the content of scores.json, {} when there is none.
        store: where images and boxes come from; None for a page of words.
        threshold: from `lapse calibrate`; None without abstention.
        facts: where the numbers come from, shown last.
        system: what the system is called in the tables.
        cases: how many cases carry images.
    """

    title: str
    predictions: Sequence[Prediction]
    scores: Mapping[str, Any] = field(default_factory=dict)
    store: Store | None = None
    threshold: Threshold | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    system: str = "this system"
    cases: int = 48


def write_evaluation(path: Path, evaluation: Evaluation) -> Path:
    """Write the page; returns its path.

    Raises:
        ValueError: there is no prediction, or the threshold needs a confidence that is not there.
    """
    text = render_evaluation(evaluation)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def render_evaluation(evaluation: Evaluation) -> str:
    """The page as HTML text."""
    if not evaluation.predictions:
        raise ValueError("a report needs at least one prediction, got none")
    asked = [item for item in evaluation.predictions if item.task == TASK]
    parts = [f"<h1>{escape(evaluation.title)}</h1>", f'<p class="safety">{RESEARCH_USE}</p>']
    parts += _summary(evaluation, asked)
    parts += _scores(evaluation)
    if asked:
        parts += _mistakes(evaluation, asked)
        parts += _sureness(evaluation, asked)
        parts += _cases(evaluation, asked)
    facts = {**_facts(evaluation.scores), **evaluation.facts}
    if facts:
        rows = tuple((str(key), str(value)) for key, value in facts.items())
        parts.append("<h2>Where these numbers come from</h2>")
        parts.append(table_html(Table("", ("what", "value"), rows), kind="facts"))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(evaluation.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main>{script() if asked else ''}</body></html>\n"
    )


def _facts(scores: Mapping[str, Any]) -> dict[str, str]:
    told = scores.get("provenance")
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, Mapping) else {}


def _summary(evaluation: Evaluation, asked: Sequence[Prediction]) -> list[str]:
    tasks = Counter(item.task for item in evaluation.predictions)
    patients = len({item.patient for item in evaluation.predictions} - {""})
    told = ", ".join(f"{count} of {task}" for task, count in tasks.items())
    lines = [f"<p>{len(evaluation.predictions)} answers ({told}) about {patients} patients.</p>"]
    if asked:
        right = sum(not error_kinds(item) for item in asked)
        quiet = sum(not parse(item.references[0]).changes for item in asked)
        lines.append(
            f"<p>{right} of {len(asked)} difference answers ({_percent(right, len(asked))}) name "
            f"exactly the true changes. In {quiet} of them ({_percent(quiet, len(asked))}) the "
            "truth is that nothing has changed.</p>"
        )
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%"


def _scores(evaluation: Evaluation) -> list[str]:
    first = score_tables(evaluation.scores, evaluation.system)
    if not first:
        return []
    parts = ["<h2>Scores</h2>"]
    parts += [table_html(table, kind="scores words") for table in first]
    parts.append(
        '<p class="note">In brackets: 95% intervals, whole patients drawn anew. Rows named '
        "constant, nothing has changed, random, mean box or text-only never see an image: a score "
        "means what it has above them.</p>"
    )
    every = "".join(
        table_html(t, "scores words") for t in every_score(evaluation.scores, evaluation.system)
    )
    parts.append(f"<details><summary>Every score</summary>{every}</details>")
    groups = subgroup_tables(evaluation.scores)
    if groups:
        parts.append("<h2>Subgroups</h2>")
        parts += [table_html(table) for table in groups]
    differences = difference_tables(evaluation.scores)
    if differences:
        parts.append("<h2>Differences between systems</h2>")
        parts += [table_html(table, "scores words") for table in differences]
        parts.append(
            '<p class="note">First is the system that the others are tested against. p: how '
            "often exchanging the answers of whole patients gives as large a difference, corrected "
            "for the number of rows (Holm). Effect: the difference over the spread of single "
            "patients; 0.2 is small, 0.8 large.</p>"
        )
    return parts


def _mistakes(evaluation: Evaluation, asked: Sequence[Prediction]) -> list[str]:
    """How many answers have each kind of error, and the F1 of each finding."""
    counts = Counter(kind for item in asked for kind in error_kinds(item))
    bars = [
        Bar(
            WORDS.get(kind, kind),
            counts[kind] / len(asked),
            note=f"{counts[kind]} of {len(asked)} answers",
        )
        for kind in KINDS
    ]
    intervals = finding_intervals(evaluation.scores)
    findings = []
    for name, (right, said, true) in finding_counts(asked).items():
        low, high = intervals.get(name, (None, None))
        f1 = 2 * right / (said + true)
        findings.append(Bar(name, f1, low, high, f"{true} true, {said} named, {right} right"))
    return [
        "<h2>Where it goes wrong</h2>",
        '<div class="charts">',
        bar_chart(
            "Answers with each kind of error",
            bars,
            note="An answer may have several. Made up: a finding that the truth does not name. "
            "Left out: a finding of the truth that is not named.",
        ),
        bar_chart(
            "F1 of each finding",
            findings,
            note="Finding and direction (and both levels) must be right. Most frequent first.",
        ),
        "</div>",
    ]


def finding_counts(asked: Sequence[Prediction]) -> dict[str, tuple[int, int, int]]:
    """Finding -> changes that are right, said and true; the most frequent in the truth first."""
    found = {name: [0, 0, 0] for name in FINDINGS}
    for item in asked:
        said, true = parse(item.prediction).changes, parse(item.references[0]).changes
        for place, changes in enumerate((said & true, said, true)):
            for change in changes:
                found[change.finding][place] += 1
    order = sorted(FINDINGS, key=lambda name: -found[name][2])
    return {
        name: (found[name][0], found[name][1], found[name][2])
        for name in order
        if found[name][1] + found[name][2]
    }


def _sureness(evaluation: Evaluation, asked: Sequence[Prediction]) -> list[str]:
    events = confidence_events(asked)
    drawn = {name: events[name] for name in events if name not in UNDRAWN}
    if not events:
        return []
    rows = []
    for name, found in events.items():
        error, area = calibration_error(found), risk_area(found)
        facts = (_cell(error), error.details["floor"], _cell(area), area.details["error rate"])
        rows.append((name, str(len(found)), *facts))
    columns = ("sureness of", "n", "ECE", "ECE floor", "risk area", "wrong without a choice")
    parts = [
        "<h2>Can its sureness be trusted?</h2>",
        '<div class="charts">',
        reliability_plot({name: reliability(found) for name, found in drawn.items()}),
        risk_plot({name: risk_coverage(found) for name, found in drawn.items()}),
        "</div>",
        table_html(
            Table(
                "",
                columns,
                tuple(rows),
                note="On the diagonal of the left plot, what is said with 70% is right in 70%. "
                "In the right plot a curve that starts low tells right from wrong by its "
                "sureness. ECE: mean distance from the diagonal; its floor is what true "
                "probabilities would show with so few answers.",
            )
        ),
    ]
    if evaluation.threshold is not None:
        parts += _abstention(asked, evaluation.threshold)
    return parts


def _cell(score: Score) -> str:
    return format_cell({"value": score.value, "low": score.low, "high": score.high})


def _abstention(asked: Sequence[Prediction], chosen: Threshold) -> list[str]:
    rows = tuple(
        (name, KEPT.get(name, ""), _cell(score))
        for name, score in abstention_scores(asked, chosen).items()
    )
    note = (
        f"A change is stated when its probability (by {chosen.method}) is above "
        f"{chosen.threshold:.3g}, otherwise it is undecided. The threshold was chosen on "
        f"{chosen.patients} other patients so that, on average over patients, at most "
        f"{100 * chosen.alpha:.0f}% of a patient's answers still state a false change. Undecided "
        "does not mean unchanged."
    )
    return [
        table_html(
            Table("With abstention", ("score", "in words", "value"), rows, note), "scores words"
        )
    ]


def _cases(evaluation: Evaluation, asked: Sequence[Prediction]) -> list[str]:
    cases = choose_cases(
        asked, count=evaluation.cases, sure=lambda item: item.confidence.get("answer", 0.0)
    )
    store = evaluation.store
    pairs = find_pairs(store, cases) if store is not None else {}
    told = f"{len(cases)} of {len(asked)} answers: the worst, the best, then one of everything."
    if store is None:
        told += " Without images: they need the store (--data)."
    elif len(pairs) < len(cases):
        told += f" {len(cases) - len(pairs)} have no images: the store does not hold their pair."
    cards = [
        case_html(case, pairs.get(case.item.id), store, evaluation.threshold, number)
        for number, case in enumerate(cases, start=1)
    ]
    return [
        "<h2>Cases</h2>",
        f"<p>{told} Boxes mark the regions whose sentence in the report of that image names a "
        "finding of the answer or of the truth; they are not the model's.</p>",
        filter_bar(asked),
        f'<div class="cases">{"".join(cards)}</div>',
        "<h2>All answers</h2>",
        answer_list(asked, MAX_LISTED),
    ]
