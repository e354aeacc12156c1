"""View data of one case: images with boxes, question, reference, answer, every change marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lapse.core.changes import FREE_KINDS, Change
from lapse.core.types import Pair, Prediction, Study
from lapse.data.datasets.plain_studies import DAY_ZERO
from lapse.data.store.store import Store
from lapse.evaluation.html.case_selection import Case, finding_boxes
from lapse.evaluation.html.elements import Outline, Pixels, outlines
from lapse.metrics.abstention import Threshold
from lapse.metrics.confidence import agreement, stated_changes


@dataclass(frozen=True, slots=True)
class CaseImage:
    """An image [S, S] uint8 of a case. `regions`: finding -> regions with a box."""

    title: str
    caption: str
    pixels: Pixels
    outlines: Sequence[Outline]
    regions: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One line of a case. `style`: "right", "wrong" or "quiet"; `color` None draws no key."""

    text: str
    style: str
    mark: str = ""
    color: int | None = None


@dataclass(frozen=True, slots=True)
class CaseCard:
    """A case as the page shows it. `confidence` in words; "" if unknown."""

    number: int
    case: Case
    images: Sequence[CaseImage]
    changes: Sequence[ChangeLine]
    confidence: str


def case_card(
    number: int, case: Case, pair: Pair | None, store: Store | None, threshold: Threshold | None
) -> CaseCard:
    """The card of one case; without images where there is no store or no pair."""
    colors = {name: color for color, name in enumerate(case.findings)}
    images: list[CaseImage] = []
    if pair is not None and store is not None:
        studies = (("reference", pair.reference), ("main", pair.main))
        images = [_image(study, title, colors, store) for title, study in studies]
    changes = _change_lines(case, colors, threshold)
    fraction = case.item.confidence.get("answer")
    confidence = "" if fraction is None else f"{agreement(fraction)} agreement of the beam"
    return CaseCard(number, case, images, changes, confidence)


def describe(change: Change) -> str:
    """A change in few words.

    >>> describe(Change("edema", "added"))
    'edema: in the main image only'
    """
    if change.kind == "level":
        return f"{change.finding}: {change.before} → {change.after}"
    if change.kind in FREE_KINDS:
        return f"{change.finding}: {change.kind}"
    image = "main" if change.kind == "added" else "reference"
    return f"{change.finding}: in the {image} image only"


def _change_lines(
    case: Case, colors: Mapping[str, int], threshold: Threshold | None
) -> list[ChangeLine]:
    """Every change of the answer and of the truth, and words that the grammar cannot parse."""
    answer, truth = case.item.answer, case.item.truth
    error_of = {name: kind for kind, names in case.errors.items() for name in names}
    probabilities = _probabilities(case.item, threshold)
    by_clauses = threshold is not None and threshold.method == "clauses"
    source = "support of its clauses" if by_clauses else "agreement of the beam"
    lines = []
    for change in sorted(answer.changes | truth.changes):
        kind = error_of.get(change.finding, "wrong")
        if change not in answer.changes:
            mark, style = ("omitted" if kind == "omitted" else "truth"), "quiet"
        elif change in truth.changes:
            mark, style = "right", "right"
        else:
            mark, style = kind, "wrong"
        if change in probabilities:
            if threshold is not None and probabilities[change] <= threshold.threshold:
                mark = f"{mark}; undecided at this threshold"
            mark = f"{mark}, {agreement(probabilities[change])} {source}"
        lines.append(ChangeLine(describe(change), style, mark, colors[change.finding]))
    if not lines:
        text = "nothing has changed" if answer.is_unchanged else "no change was parsed"
        lines.append(ChangeLine(text, "quiet"))
    lines += [ChangeLine(words or "(empty)", "wrong", "not parsed") for words in answer.leftover]
    return lines


def _probabilities(item: Prediction, threshold: Threshold | None) -> dict[Change, float]:
    """Change -> probability by the method of the threshold (default: beam); {} if unknown."""
    try:
        changes = stated_changes(item, threshold.method if threshold else "beam")
    except ValueError:
        return {}
    return {item.change: item.probability for item in changes}


def _image(study: Study, title: str, colors: Mapping[str, int], store: Store) -> CaseImage:
    boxes = finding_boxes(study, tuple(colors))
    caption = _time(study, store) + (f", {study.view}" if study.view else "")
    drawn = outlines(
        [(item.box, colors[item.finding]) for item in boxes], [item.region for item in boxes]
    )
    regions: dict[str, list[str]] = {}
    for item in boxes:
        regions.setdefault(item.finding, []).append(item.region)
    return CaseImage(title, caption, store.pixels(study.image), drawn, regions)


def _time(study: Study, store: Store) -> str:
    """The date, the day of the patient's series, or that it is not known."""
    if study.taken_at is None:
        return "date unknown"
    if store.info.labels.time == "days":
        return f"day {(study.taken_at - DAY_ZERO).total_seconds() / 86400:g}"
    return f"{study.taken_at:%Y-%m-%d}"
