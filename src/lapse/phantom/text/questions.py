"""Questions of Medical-Diff-VQA about simulated studies, in its seven categories.

Every pair of studies of one patient (main = later, reference = earlier) has the question what
changed. The other six categories ask about the main study only, as often as in the real file.
Location words follow from the state: `location` is the adjective, `post_location` the location
after a preposition; the fields that end in 2 contain the second side of a bilateral finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lapse.core.changes import QUESTION_CHANGED, Change, render
from lapse.core.findings import FINDINGS
from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.patients.anatomy_locations import adjective, location_phrase, sides_of
from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.findings import difference, level_of, levels
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.text.phrases import Key

CATEGORIES = ("abnormality", "presence", "view", "location", "level", "type", "difference")
MAX_PAIRS = 6  # per patient

# probability of each category per pair; the last three need a suitable finding
_RATES = {
    "abnormality": 0.95,
    "presence": 1.0,
    "view": 0.38,
    "location": 0.75,
    "level": 0.6,
    "type": 0.4,
}
_AREA_RATE = 0.3  # fraction of level changes with a question about their area
_WITHOUT_LOCATION = (
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
    """One question with its answer, in the words of the data set."""

    category: str
    question: str
    answer: str


def visit_pairs(visits: tuple[Visit, ...]) -> list[tuple[Visit, Visit]]:
    """At most six (reference, main) pairs of a patient; consecutive visits come first."""
    pairs = sorted(
        combinations(visits, 2), key=lambda pair: (pair[1].index - pair[0].index, pair[0].index)
    )
    return pairs[:MAX_PAIRS]


def pair_questions(reference: Visit, main: Visit, view: str, *, seed: int) -> list[Question]:
    """All questions about one pair; `view` is the view of the main image, "PA" or "AP"."""
    key: Key = (seed, "phantom/questions", main.patient, reference.index, main.index)
    questions: list[Question | None] = [
        _question(category, main, view, (*key, category))
        for category, rate in _RATES.items()
        if derive_uniform(*key, category, "asked") < rate
    ]
    changes = difference(reference, main)
    # as in the real file, the order within a list is random
    order = sorted(FINDINGS, key=lambda name: derive_uniform(*key, "order", name))
    questions.append(Question("difference", QUESTION_CHANGED, render(changes, order)))
    for change in sorted(changes, key=lambda item: item.finding):
        questions.append(_area_question(change, main, key))
    return [question for question in questions if question is not None]


def entities(visit: Visit, denied: frozenset[str]) -> dict[str, Any]:
    """The `entity` and `no_entity` fields of all_diseases.json for one study."""
    entity = {}
    for finding in visit.findings:
        first, second = _location_words(finding, 0), _location_words(finding, 1)
        entity[finding.name] = {
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
    return {"entity": entity, "no_entity": sorted(denied)}


def _location_words(finding: Finding, index: int) -> tuple[str | None, str | None]:
    """Adjective and location of the first (0) or second (1) side of a finding, None without one."""
    sides = sides_of(finding.side)
    if index >= len(sides) or finding.name in _WITHOUT_LOCATION:
        return None, None
    return adjective(sides[index], finding.zone), location_phrase(sides[index], finding.zone)


def _question(category: str, visit: Visit, view: str, key: Key) -> Question | None:
    if category == "abnormality":
        return _abnormality(visit, key)
    if category == "presence":
        return _presence(visit, key)
    if category == "view":
        return _view(view, key)
    if category == "location":
        return _location(visit, key)
    types = {item.name: item.type for item in visit.findings}
    words = levels(visit) if category == "level" else types
    answers = [(name, word) for name, word in words.items() if word]
    if not answers:
        return None
    name, answer = answers[derive_index(len(answers), *key, "which")]
    return Question(category, f"what {category} is the {name}?", answer)


def _abnormality(visit: Visit, key: Key) -> Question | None:
    form = derive_uniform(*key, "form")
    located = [item for item in visit.findings if _location_words(item, 0)[1]]
    if form < 0.55 and visit.findings:
        order = sorted(visit.findings, key=lambda item: derive_uniform(*key, item.name))
        names = ", ".join(item.name for item in order)
        return Question("abnormality", "what abnormalities are seen in this image?", names)
    if form < 0.8 and located:
        item = located[derive_index(len(located), *key, "which")]
        area = location_phrase(item.side, item.zone)
        if sum(_overlap(item, other) for other in located) == 1:
            return Question("abnormality", f"what abnormalities are seen in {area}?", item.name)
    answer = "yes" if visit.findings else "no"
    question = "is there evidence of any abnormalities in this image?"
    return Question("abnormality", question, answer)


def _overlap(first: Finding, second: Finding) -> bool:
    """Whether two findings share a side and a zone; no zone means the entire lung."""
    has_common_side = bool(set(sides_of(first.side)) & set(sides_of(second.side)))
    return has_common_side and (first.zone == second.zone or not (first.zone and second.zone))


def _presence(visit: Visit, key: Key) -> Question:
    names = {item.name for item in visit.findings}
    is_present = bool(names) and derive_uniform(*key, "yes") < 0.5
    if not is_present:
        absent = [spec.name for spec in FINDING_SPECS if spec.name not in names]
        name = absent[derive_index(len(absent), *key, "absent")]
        forms = (f"is there evidence of {name} in this image?", f"is there {name}?")
        return Question("presence", forms[derive_index(2, *key, "form")], "no")
    item = visit.findings[derive_index(len(visit.findings), *key, "which")]
    forms = (f"is there evidence of {item.name} in this image?", f"is there {item.name}?")
    side_adjective, area = _location_words(item, 0)
    if side_adjective is None or area is None:
        return Question("presence", forms[derive_index(2, *key, "form")], "yes")
    other = {"left": "right", "right": "left"}.get(item.side, "")
    is_other_side = bool(other) and derive_uniform(*key, "other side") < 0.4
    if is_other_side:
        side_adjective, area = adjective(other, item.zone), location_phrase(other, item.zone)
    answer = "no" if is_other_side else "yes"
    form = derive_index(5, *key, "form")
    if form < 2:
        return Question("presence", forms[form], "yes")
    if form == 2:
        return Question("presence", f"is there {item.name} in the {side_adjective} area?", answer)
    if form == 3:
        return Question("presence", f"is there {item.name} in {area}?", answer)
    answer = "yes" if item.side == "bilateral" else "no"
    return Question("presence", f"is the {item.name} bilateral?", answer)


def _view(view: str, key: Key) -> Question:
    form = derive_index(3, *key, "form")
    if form == 0:
        return Question("view", "which view is this image taken?", f"{view} view")
    named = "PA" if form == 1 else "AP"
    return Question("view", f"is this {named} view?", "yes" if named == view else "no")


def _location(visit: Visit, key: Key) -> Question | None:
    located = [item for item in visit.findings if _location_words(item, 0)[0]]
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
        return Question("location", question, location_phrase(item.side, item.zone))
    areas = [f"{adjective(side, item.zone)} area" for side in sides_of(item.side)]
    return Question("location", question, " and ".join(areas))


def _area_question(change: Change, main: Visit, key: Key) -> Question | None:
    """'what has changed in the {area} area?', for level changes only."""
    if change.kind != "level":
        return None
    item = next(item for item in main.findings if item.name == change.finding)
    area = adjective(item.side, item.zone)
    if not area or item.name in _WITHOUT_LOCATION:
        return None
    if derive_uniform(*key, "area", item.name) >= _AREA_RATE:
        return None
    question = f"what has changed in the {area} area?"
    return Question("difference", question, render(frozenset({change})))
