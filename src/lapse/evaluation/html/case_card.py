"""One case as a card: both images with boxes, question, truth, answer, each change marked.

Marks are words and colours: right, made up, left out, wrong direction, wrong level, undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lapse.core.grammar import Change, parse
from lapse.core.types import Pair, Prediction, Study
from lapse.data.store.store import Store
from lapse.evaluation.html.case_selection import Case, Place, places_of
from lapse.evaluation.html.elements import escape, outlines, photo_html
from lapse.evaluation.html.style import MANY_COLOURS
from lapse.metrics.abstention import Threshold
from lapse.metrics.confidence import stated

WORDS = {"hallucinated": "made up", "omitted": "left out"}


def case_html(
    case: Case, pair: Pair | None, store: Store | None, chosen: Threshold | None, number: int
) -> str:
    """The card of one case; without images where the store does not hold its pair."""
    colours = {
        name: MANY_COLOURS[place % len(MANY_COLOURS)] for place, name in enumerate(case.findings)
    }
    images = ""
    if pair is not None and store is not None:
        sides = (("reference", pair.reference), ("main", pair.main))
        images = '<div class="images">' + "".join(
            _image(study, title, colours, store, number) for title, study in sides
        )
        images += "</div>"
    badges = "".join(
        f'<span class="badge bad">{escape(WORDS.get(kind, kind))}</span>' for kind in case.errors
    )
    badges = badges or '<span class="badge good">all right</span>'
    marks = ";".join(
        f"{kind}:{name}" for kind, names in case.errors.items() for name in names or ("",)
    )
    item = case.item
    return (
        f'<article class="case" data-findings="{escape(";".join(case.findings))}" '
        f'data-errors="{escape(marks)}" data-shown="{case.shown_as}">'
        f"<h3>Case {number}, {escape(case.shown_as)} {badges}</h3>{images}<dl>"
        f"<dt>Question</dt><dd>{escape(item.prompt or '(not in the file)')}</dd>"
        f"<dt>Reference</dt><dd>{_sentence(item.references[0])}</dd>"
        f"<dt>Answer</dt><dd>{_sentence(item.prediction)}</dd>"
        f"<dt>Changes</dt><dd>{_changes(case, colours, chosen)}</dd></dl>"
        f'<p class="note">{escape(item.id)}{_sureness(item)}</p></article>'
    )


def _sentence(text: str) -> str:
    return escape(text.strip()) or '<i class="quiet">(empty)</i>'


def _sureness(item: Prediction) -> str:
    sure = item.confidence.get("answer")
    return "" if sure is None else f" · {100 * sure:.0f}% of the beam says this"


def describe(change: Change) -> str:
    """A change in few words.

    >>> describe(Change("edema", "added"))
    'edema: in the main image only'
    """
    if change.kind == "level":
        return f"{change.finding}: {change.before} → {change.after}"
    side = "main" if change.kind == "added" else "reference"
    return f"{change.finding}: in the {side} image only"


def _changes(case: Case, colours: Mapping[str, str], chosen: Threshold | None) -> str:
    """Every change of answer and truth, one a line, with what is the matter with it."""
    said, true = (parse(text) for text in (case.item.prediction, case.item.references[0]))
    kind_of = {name: kind for kind, names in case.errors.items() for name in names}
    sure = _probabilities(case.item, chosen)
    lines = []
    for change in sorted(said.changes | true.changes):
        key = f'<span class="key" style="background:{colours[change.finding]}"></span>'
        if change in said.changes and change in true.changes:
            mark, style = "right", "right"
        elif change in true.changes:
            mark, style = (
                ("left out" if kind_of.get(change.finding) == "omitted" else "truth"),
                "quiet",
            )
        else:
            kind = kind_of.get(change.finding, "wrong")
            mark, style = WORDS.get(kind, kind), "wrong"
        if change in sure and chosen is not None and sure[change] <= chosen.threshold:
            mark = f"{mark}; undecided at this threshold"
        told = f" {100 * sure[change]:.0f}%" if change in sure else ""
        lines.append(
            f'<li class="{style}">{key}{escape(describe(change))} '
            f'<span class="mark">{escape(mark)}{told}</span></li>'
        )
    if not lines:
        text = "nothing has changed" if said.is_unchanged else "no change was understood"
        lines.append(f'<li class="quiet">{text}</li>')
    lines += [
        f'<li class="wrong">{escape(words or "(empty)")} '
        '<span class="mark">not understood</span></li>'
        for words in said.leftover
    ]
    return f'<ul class="changes">{"".join(lines)}</ul>'


def _probabilities(item: Prediction, chosen: Threshold | None) -> dict[Change, float]:
    """Change -> its probability, by the method of the threshold or else of the beam, if told."""
    try:
        rows = stated(item, chosen.method if chosen else "beam")
    except ValueError:
        return {}
    return {one.change: one.probability for one in rows}


def _image(study: Study, title: str, colours: Mapping[str, str], store: Store, number: int) -> str:
    places = places_of(study, tuple(colours))
    overlay = outlines([(one.box, colours[one.finding]) for one in places])
    pixels = store.pixels(study.image)
    day = f"{study.taken_at:%Y-%m-%d}"
    view = f", {study.view}" if study.view else ""
    return (
        f'<figure><div class="overlay">{photo_html(pixels, f"{title} image of case {number}")}'
        f'<svg class="boxes" viewBox="0 0 100 100" preserveAspectRatio="none">{overlay}</svg></div>'
        f"<figcaption><b>{title}</b> {day}{escape(view)}{_where(places)}</figcaption></figure>"
    )


def _where(places: Sequence[Place]) -> str:
    if not places:
        return ""
    named: dict[str, list[str]] = {}
    for place in places:
        named.setdefault(place.finding, []).append(place.region)
    told = "; ".join(f"{finding}: {', '.join(regions)}" for finding, regions in named.items())
    return f'<br><span class="quiet">report: {escape(told)}</span>'
