"""Questions about pairs: templates of the data set, answers that follow from the state."""

import re
from collections import Counter

import pytest

from lapse.core.changes import QUESTION_CHANGED
from lapse.core.grammar import parse
from lapse.phantom.patients.catalogue import FINDING_SPECS
from lapse.phantom.patients.findings import difference, draw_visits, level_of
from lapse.phantom.text.questions import CATEGORIES, entities, pair_questions, visit_pairs

NAMES = "|".join(spec.name for spec in FINDING_SPECS)
TEMPLATES = {
    "abnormality": (
        r"what abnormalities are seen in this image\?",
        r"what abnormalities are seen in [a-z ]+\?",
        r"is there evidence of any abnormalities in this image\?",
    ),
    "presence": (
        rf"is there evidence of ({NAMES}) in this image\?",
        rf"is there ({NAMES})\?",
        rf"is there ({NAMES}) in the [a-z ]+ area\?",
        rf"is there ({NAMES}) in (the|both) [a-z ]+\?",
        rf"is the ({NAMES}) bilateral\?",
    ),
    "view": (r"which view is this image taken\?", r"is this (PA|AP) view\?"),
    "location": (
        rf"where in the image is the ({NAMES}) located\?",
        rf"where is the ({NAMES})\?",
        rf"is the ({NAMES}) located on the left side or right side\?",
    ),
    "level": (rf"what level is the ({NAMES})\?",),
    "type": (rf"what type is the ({NAMES})\?",),
    "difference": (re.escape(QUESTION_CHANGED), r"what has changed in the [a-z ]+ area\?"),
}


@pytest.fixture(scope="module")
def pairs():
    """(reference, main, questions) of every pair of 250 patients."""
    return [
        (reference, main, pair_questions(reference, main, "AP", seed=2))
        for patient in range(250)
        for reference, main in visit_pairs(draw_visits(2, patient, 3))
    ]


def test_pairs_are_in_order_of_time_and_limited():
    ordered = visit_pairs(draw_visits(2, 0, 8))
    assert len(ordered) == 6
    assert all(reference.taken_at < main.taken_at for reference, main in ordered)


def test_every_question_follows_a_template_and_every_template_is_used(pairs):
    used = Counter()
    for _, _, questions in pairs:
        for item in questions:
            patterns = TEMPLATES[item.category]
            matches = [text for text in patterns if re.fullmatch(text, item.question)]
            assert matches, item
            used[matches[0]] += 1
    assert set(used) == {text for patterns in TEMPLATES.values() for text in patterns}


def test_difference_answers_parse_to_the_changes_of_the_state(pairs):
    num_unchanged = 0
    for reference, main, questions in pairs:
        (answer,) = [q.answer for q in questions if q.question == QUESTION_CHANGED]
        assert parse(answer).changes == difference(reference, main)
        assert answer == "nothing has changed." or answer.endswith(" ")
        num_unchanged += answer == "nothing has changed."
        for item in questions:
            if item.category == "difference" and item.question != QUESTION_CHANGED:
                (change,) = parse(item.answer).changes
                assert change.kind == "level" and change in difference(reference, main)
    assert 0.1 < num_unchanged / len(pairs) < 0.4


def test_answers_about_one_image_follow_from_the_state(pairs):
    for _, main, questions in pairs:
        state = {item.name: item for item in main.findings}
        for item in questions:
            name = re.search(NAMES, item.question)
            finding = state.get(name.group()) if name else None
            if item.category == "level":
                assert item.answer == level_of(finding.name, finding.severity)
            elif item.category == "type":
                assert item.answer == finding.type
            elif item.category == "view":
                assert item.answer in {"AP view", "yes" if "AP" in item.question else "no"}
            elif item.category == "presence" and finding is None:
                assert item.answer == "no"
            elif item.category == "presence" and "evidence of" in item.question:
                assert item.answer == "yes"
            elif item.question == "what abnormalities are seen in this image?":
                assert set(item.answer.split(", ")) == set(state)
            elif "any abnormalities" in item.question:
                assert item.answer == ("yes" if state else "no")
            elif "left side or right side" in item.question:
                assert item.answer == f"{finding.side} side"
            elif item.category == "location" and "area" in item.answer:
                is_bilateral = finding.side == "bilateral"
                assert len(item.answer.split(" and ")) == (2 if is_bilateral else 1)


def test_categories_are_as_frequent_as_in_the_data_set(pairs):
    counts = Counter(item.category for _, _, questions in pairs for item in questions)
    total = sum(counts.values())
    published = dict(
        zip(CATEGORIES, (0.208, 0.222, 0.080, 0.120, 0.096, 0.039, 0.235), strict=True)
    )
    for category, fraction in published.items():
        assert abs(counts[category] / total - fraction) < 0.04, category


def test_entities_of_a_study():
    visits = (visit for patient in range(90) for visit in draw_visits(2, patient, 2))
    main = next(
        visit for visit in visits if any(i.side == "bilateral" and i.zone for i in visit.findings)
    )
    fields = entities(main, frozenset({"hernia"}))
    assert fields["no_entity"] == ["hernia"]
    assert list(fields["entity"]) == [item.name for item in main.findings]
    bilateral = next(i for i in main.findings if i.side == "bilateral" and i.zone)
    entry = fields["entity"][bilateral.name]
    assert entry["location"].startswith("right ") and entry["location2"].startswith("left ")
    assert entry["post_location2"].startswith("the left lung")
    assert set(entry) == {
        "entity_name",
        "location",
        "type",
        "level",
        "post_location",
        "location2",
        "type2",
        "level2",
        "post_location2",
    }
