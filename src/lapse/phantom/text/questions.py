"""Questions of Medical-Diff-VQA about simulated studies, in its seven categories.

Every pair (main = later study, reference = earlier study of the same patient) asks what changed;
the other six categories ask about the main study alone, as often as in the real file. Location
words come from the state: the adjective is `location`, the place after a preposition
`post_location`; a bilateral finding has its second side in the fields that end in 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lapse.core.grammar import FINDINGS, QUESTION_CHANGED, Change, render
from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.patients.catalogue import SPECS
from lapse.phantom.patients.findings import difference, level_of
from lapse.phantom.patients.places import adjective, place, sides_of
from lapse.phantom.patients.state import Finding, Visit

CATEGORIES = ("abnormality", "presence", "view", "location", "level", "type", "difference")
MAX_PAIRS = 6  # per patient
Key = tuple[str | int, ...]

# how often a pair carries one; the last three need a finding that can be asked about
_RATES = {
    "abnormality": 0.95,
    "presence": 1.0,
    "view": 0.38,
    "location": 0.75,
    "level": 0.6,
    "type": 0.4,
}
_AREA_RATE = 0.3  # share of level changes that are also asked for their area
_PLACELESS = (
    "cardiomegaly",
    "heart failure",
    "scoliosis",
    "hernia",
    "calcification",
    "fracture",
    "gastric distention",
)


@dataclass(frozen=True, slots=True)
class Question:
    """One row: the category, the question and its answer in the words of the data set."""

    category: str
    question: str
    answer: str


def visit_pairs(visits: tuple[Visit, ...]) -> list[tuple[Visit, Visit]]:
    """(reference, main) pairs in order of time, nearest first, at most six a patient."""
    pairs = sorted(
        combinations(visits, 2), key=lambda pair: (pair[1].index - pair[0].index, pair[0].index)
    )
    return pairs[:MAX_PAIRS]


def pair_questions(reference: Visit, main: Visit, view: str, *, seed: int) -> list[Question]:
    """All questions about one pair; `view` is the main image's, "PA" or "AP"."""
    key: Key = (seed, "phantom/questions", main.patient, reference.index, main.index)
    found = []
    for category, rate in _RATES.items():
        if derive_uniform(*key, category, "asked") < rate:
            asked = _ask(category, main, view, key)
            if asked is not None:
                found.append(asked)
    changes = difference(reference, main)
    # as in the real file, the order within a list says nothing
    order = sorted(FINDINGS, key=lambda name: derive_uniform(*key, "order", name))
    found.append(Question("difference", QUESTION_CHANGED, render(changes, order)))
    for change in sorted(changes, key=lambda item: item.finding):
        area = _area_question(change, main, key)
        if area is not None:
            found.append(area)
    return found


def entities(visit: Visit, denied: frozenset[str]) -> dict[str, Any]:
    """The `entity` and `no_entity` fields of all_diseases.json for one study."""
    found = {}
    for finding in visit.findings:
        first, second = _words(finding, 0), _words(finding, 1)
        found[finding.name] = {
            "entity_name": finding.name,
            "location": first[0],
            "type": finding.type or None,
            "level": level_of(finding.name, finding.severity) or None,
            "post_location": first[1],
            "location2": second[0],
            "type2": None,
            "level2": None,
            "post_location2": second[1],
        }
    return {"entity": found, "no_entity": sorted(denied)}


def _words(finding: Finding, which: int) -> tuple[str | None, str | None]:
    """Adjective and place of the finding's first (0) or second (1) side, None where unsaid."""
    sides = sides_of(finding.side)
    if which >= len(sides) or finding.name in _PLACELESS:
        return None, None
    return adjective(sides[which], finding.zone), place(sides[which], finding.zone)


def _ask(category: str, visit: Visit, view: str, key: Key) -> Question | None:
    key = (*key, category)
    if category == "abnormality":
        return _abnormality(visit, key)
    if category == "presence":
        return _presence(visit, key)
    if category == "view":
        return _view(view, key)
    if category == "location":
        return _location(visit, key)
    if category == "level":
        graded = [item for item in visit.findings if level_of(item.name, item.severity)]
        if not graded:
            return None
        item = graded[derive_index(len(graded), *key, "which")]
        answer = level_of(item.name, item.severity)
        return Question(category, f"what level is the {item.name}?", answer)
    typed = [item for item in visit.findings if item.type]
    if not typed:
        return None
    item = typed[derive_index(len(typed), *key, "which")]
    return Question(category, f"what type is the {item.name}?", item.type)


def _abnormality(visit: Visit, key: Key) -> Question | None:
    form = derive_uniform(*key, "form")
    located = [item for item in visit.findings if _words(item, 0)[1]]
    if form < 0.55 and visit.findings:
        order = sorted(visit.findings, key=lambda item: derive_uniform(*key, item.name))
        names = ", ".join(item.name for item in order)
        return Question("abnormality", "what abnormalities are seen in this image?", names)
    if form < 0.8 and located:
        item = located[derive_index(len(located), *key, "which")]
        where = place(item.side, item.zone)
        there = [other for other in located if _touch(item, other)]
        if len(there) == 1:
            return Question("abnormality", f"what abnormalities are seen in {where}?", item.name)
    answer = "yes" if visit.findings else "no"
    question = "is there evidence of any abnormalities in this image?"
    return Question("abnormality", question, answer)


def _touch(first: Finding, second: Finding) -> bool:
    """Whether two located findings share a side and a zone; no zone means the whole lung."""
    is_side_shared = bool(set(sides_of(first.side)) & set(sides_of(second.side)))
    return is_side_shared and (first.zone == second.zone or not (first.zone and second.zone))


def _presence(visit: Visit, key: Key) -> Question:
    names = {item.name for item in visit.findings}
    is_there = bool(names) and derive_uniform(*key, "yes") < 0.5
    if not is_there:
        absent = [spec.name for spec in SPECS if spec.name not in names]
        name = absent[derive_index(len(absent), *key, "absent")]
        forms = (f"is there evidence of {name} in this image?", f"is there {name}?")
        return Question("presence", forms[derive_index(2, *key, "form")], "no")
    item = visit.findings[derive_index(len(visit.findings), *key, "which")]
    forms = (f"is there evidence of {item.name} in this image?", f"is there {item.name}?")
    location, where = _words(item, 0)
    is_both = item.side == "bilateral"
    if location is None or where is None:
        return Question("presence", forms[derive_index(2, *key, "form")], "yes")
    other = {"left": "right", "right": "left"}.get(item.side, "")
    is_other_side = bool(other) and derive_uniform(*key, "other side") < 0.4
    if is_other_side:
        location, where = adjective(other, item.zone), place(other, item.zone)
    answer = "no" if is_other_side else "yes"
    form = derive_index(5, *key, "form")
    if form < 2:
        return Question("presence", forms[form], "yes")
    if form == 2:
        return Question("presence", f"is there {item.name} in the {location} area?", answer)
    if form == 3:
        return Question("presence", f"is there {item.name} in {where}?", answer)
    return Question("presence", f"is the {item.name} bilateral?", "yes" if is_both else "no")


def _view(view: str, key: Key) -> Question:
    form = derive_index(3, *key, "form")
    if form == 0:
        return Question("view", "which view is this image taken?", f"{view} view")
    asked = "PA" if form == 1 else "AP"
    return Question("view", f"is this {asked} view?", "yes" if asked == view else "no")


def _location(visit: Visit, key: Key) -> Question | None:
    located = [item for item in visit.findings if _words(item, 0)[0]]
    if not located:
        return None
    item = located[derive_index(len(located), *key, "which")]
    form = derive_index(3, *key, "form")
    if form == 2 and item.side in ("left", "right"):
        question = f"is the {item.name} located on the left side or right side?"
        return Question("location", question, f"{item.side} side")
    question = (
        f"where is the {item.name}?"
        if form == 1
        else f"where in the image is the {item.name} located?"
    )
    if derive_index(2, *key, "words"):
        return Question("location", question, place(item.side, item.zone))
    areas = [f"{adjective(side, item.zone)} area" for side in sides_of(item.side)]
    return Question("location", question, " and ".join(areas))


def _area_question(change: Change, main: Visit, key: Key) -> Question | None:
    """'what has changed in the {LOC} area?', asked of level changes alone."""
    if change.kind != "level":
        return None
    item = next(item for item in main.findings if item.name == change.finding)
    location = adjective(item.side, item.zone)
    if not location or item.name in _PLACELESS:
        return None
    if derive_uniform(*key, "area", item.name) >= _AREA_RATE:
        return None
    question = f"what has changed in the {location} area?"
    return Question("difference", question, render(frozenset({change})))
