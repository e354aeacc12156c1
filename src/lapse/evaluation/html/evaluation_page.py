"""The HTML report of a predictions file, made for radiologists: scores first, then cases.

    summary - scores - errors - confidence - abstention - cases - all answers - provenance

Only some cases carry images, so that a page with thousands of answers stays a few megabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction, Score
from lapse.data.datasets.plain_info import REMARK
from lapse.data.store.store import Store
from lapse.evaluation.html import tables
from lapse.evaluation.html.case_card import case_card
from lapse.evaluation.html.case_selection import TASK, choose_cases, find_pairs, findings_of
from lapse.evaluation.html.confusion import count_confusion
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.plots import Bar, BarChart, reliability_plot, risk_plot
from lapse.evaluation.html.render import render
from lapse.evaluation.scores_file import ANSWERED
from lapse.evaluation.unread import unread_warning, unread_words
from lapse.metrics import calibration
from lapse.metrics.abstention import Threshold, abstention_scores, check_other_patients
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.changes import too_many_unread
from lapse.metrics.confidence import Event, confidence_events
from lapse.metrics.error_types import KINDS, error_kinds
from lapse.metrics.statistics import mean_score

MAX_LISTED = 3000
# In the table but not in the plots, where two more curves would hide the others.
NOT_PLOTTED = ("answers, by probability of the text", "answers, by probability per token")
ABSTENTION_DESCRIPTIONS = {
    "false-change rate": "answers that still state a false change, mean over patients",
    "false-change rate without abstention": "the same when every change is stated",
    "changes kept": "of all named changes, those that are still stated",
    "true changes kept": "of the named changes that are true, those that are still stated",
    "precision, kept": "of the stated changes, those that are true",
    "recall, kept": "of all true changes, those that are stated",
    "complete answers kept": "answers without an undecided change",
}


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The content of a page.

    Attributes:
        predictions: of one system; difference questions become cases.
        scores: the content of scores.json, {} without one.
        store: source of images and boxes; None for a page without images.
        threshold: from `lapse calibrate`; None without abstention.
        facts: provenance in addition to that of `scores`.
        system: name of the system in the tables.
        num_cases: how many cases carry images.
    """

    title: str
    predictions: Sequence[Prediction]
    scores: Mapping[str, Any] = field(default_factory=dict)
    store: Store | None = None
    threshold: Threshold | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    system: str = "this system"
    num_cases: int = 48


def render_evaluation_report(report: EvaluationReport) -> str:
    """The page as HTML text.

    Raises:
        ValueError: there is no prediction, the confidence that the threshold needs is missing,
            or a patient is one that the threshold was chosen on.
    """
    if not report.predictions:
        raise ValueError("an HTML report needs at least one prediction, got none")
    answers = [item for item in report.predictions if item.task == TASK]
    if report.threshold is not None:
        check_other_patients(report.threshold, [item.patient for item in answers])
    cases = choose_cases(
        answers, count=report.num_cases, confidence=lambda item: item.confidence.get("answer", 0.0)
    )
    pairs = find_pairs(report.store, cases) if report.store is not None else {}
    is_read = not too_many_unread([i.answer for i in answers], [i.truth for i in answers])
    events = confidence_events(answers) if answers and is_read else {}
    words = tuple((word, str(count)) for word, count in unread_words(answers))
    charts = [_error_chart(answers)] if answers else []
    if answers and is_read:
        charts.append(_finding_chart(answers, report.scores))
    provenance = report.scores.get("provenance")
    facts = {**(provenance if isinstance(provenance, Mapping) else {}), **report.facts}
    sources = [str(value) for value in facts.values()]
    if report.store is not None:
        sources.append(report.store.info.source)
        facts.setdefault(REMARK, report.store.info.labels.remark)
    return render(
        "evaluation_page",
        title=report.title,
        report=report,
        tasks=Counter(item.task for item in report.predictions),
        num_patients=len({item.patient for item in report.predictions} - {""}),
        score_tables=tables.score_tables(report.scores, report.system),
        every_score=tables.every_score(report.scores, report.system),
        subgroups=tables.subgroup_tables(report.scores),
        differences=tables.difference_tables(report.scores),
        facts={name: text for name, text in facts.items() if name != REMARK or text},
        remark=facts.get(REMARK, ""),
        answered=facts.get(ANSWERED, ""),
        is_simulated=any(text.startswith("simulated") for text in sources),
        confusion=count_confusion(answers),
        unread=unread_warning(answers),
        is_read=is_read,
        answers=_count_answers(answers) if answers else None,
        unread_words=Table("Words that are not read", ("word", "count"), words) if words else None,
        charts=charts,
        confidence=_confidence(events) if events else None,
        abstention=_abstention(answers, report.threshold) if events and report.threshold else None,
        num_with_images=len(pairs),
        cards=[
            case_card(number, case, pairs.get(case.item.id), report.store, report.threshold)
            for number, case in enumerate(cases, start=1)
        ],
        listed=[_listed(item) for item in answers[:MAX_LISTED]],
    )


def _count_answers(answers: Sequence[Prediction]) -> dict[str, object]:
    """Counts of the difference answers, with the choices of the filter menus."""
    errors = [error_kinds(item) for item in answers]
    num_right = sum(not kinds for kinds in errors)
    of_finding = Counter(name for item in answers for name in findings_of(item))
    of_kind = Counter(kind for kinds in errors for kind in kinds)
    choices = [("all right", num_right), *((kind, of_kind[kind]) for kind in KINDS)]
    return {
        "count": len(answers),
        "num_right": num_right,
        "num_unread": sum(not item.is_read for item in answers),
        "num_unchanged": sum(item.truth.is_parsed and not item.truth.changes for item in answers),
        "finding_choices": [(name, of_finding[name]) for name in FINDINGS if of_finding[name]],
        "kind_choices": [(kind, count) for kind, count in choices if count],
    }


def _listed(item: Prediction) -> list[object]:
    """An answer as filters.js reads it: question, reference, answer, errors, findings."""
    errors = list(error_kinds(item).items())
    texts = (item.prompt, item.references[0].strip(), item.prediction.strip())
    return [*texts, errors, findings_of(item)]


def _error_chart(answers: Sequence[Prediction]) -> BarChart:
    """How many answers have each kind of error, with intervals where the patients are known."""
    errors = [error_kinds(item) for item in answers]
    patients = [item.patient for item in answers]
    scores = {}
    for kind in KINDS:
        hits = [float(kind in kinds) for kinds in errors]
        if any(hits):
            scores[kind] = mean_score(kind, hits, {"hits": f"{sum(hits):.0f}"})
    bars = []
    for kind, score in with_intervals(scores, patients).items():
        note = f"{score.details['hits']} of {score.details['n']} answers"
        bars.append(Bar(kind, score.value, score.low, score.high, note))
    return BarChart(
        "Answers with each kind of error",
        tuple(bars),
        "Lower is better, 0 to 1. An answer may have several. Hallucinated: a finding that the "
        "truth does not name. Omitted: a finding of the truth that the answer does not name.",
    )


def _finding_chart(answers: Sequence[Prediction], scores: Mapping[str, Any]) -> BarChart:
    pairs = [(item.answer.changes, item.truth.changes) for item in answers]
    right = Counter(change.finding for answer, truth in pairs for change in answer & truth)
    named = Counter(change.finding for answer, _ in pairs for change in answer)
    true = Counter(change.finding for _, truth in pairs for change in truth)
    intervals = tables.finding_intervals(scores)
    bars = []
    for name in sorted((named | true).keys(), key=lambda name: (-true[name], FINDINGS.index(name))):
        low, high = intervals.get(name, (None, None))
        f1 = 2 * right[name] / (named[name] + true[name])
        note = f"{true[name]} true, {named[name]} named, {right[name]} right"
        bars.append(Bar(name, f1, low, high, note))
    return BarChart(
        "F1 of each finding",
        tuple(bars),
        "Higher is better, 0 to 1. Finding and direction (and both levels) must be right. Most "
        "frequent first.",
    )


def _confidence(events: Mapping[str, Sequence[Event]]) -> dict[str, Any]:
    rows = []
    for name, items in events.items():
        error, area = calibration.calibration_error(items), calibration.risk_area(items)
        cells = (_cell(error), error.details["floor"], _cell(area), area.details["error rate"])
        rows.append((name, str(len(items)), *cells))
    columns = ("confidence in", "n", "ECE", "ECE floor", "risk area", "error rate")
    note = (
        "ECE, risk area and error rate: lower is better, 0 to 1. The floor and the error rate "
        "describe these answers and have no interval."
    )
    plotted = {name: items for name, items in events.items() if name not in NOT_PLOTTED}
    diagrams = {name: calibration.calibration_diagram(items) for name, items in plotted.items()}
    curves = {name: calibration.risk_coverage(items) for name, items in plotted.items()}
    return {
        "plots": (reliability_plot(diagrams), risk_plot(curves)),
        "table": Table("", columns, tuple(rows), note),
    }


def _abstention(answers: Sequence[Prediction], threshold: Threshold) -> Table:
    rows = tuple(
        (name, ABSTENTION_DESCRIPTIONS.get(name, ""), score.direction, _cell(score))
        for name, score in abstention_scores(answers, threshold).items()
    )
    return Table("With abstention", ("score", "meaning", "better", "value"), rows)


def _cell(score: Score) -> str:
    return tables.format_cell({"value": score.value, "low": score.low, "high": score.high})
