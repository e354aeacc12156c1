"""The Markov chain of findings: levels, persistence, differences."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import pytest

from lapse.core.changes import Change, invert
from lapse.core.findings import FINDINGS, LEVELS, TYPES
from lapse.phantom.patients.catalogue import CUTS, DEAD_BAND, FINDING_SPECS, MIN_LEVEL_CHANGE
from lapse.phantom.patients.findings import difference, draw_visits, level_of
from lapse.phantom.patients.state import Finding, Visit

SIDES = {"left", "right", "bilateral", ""}
ZONES = {"apical", "upper", "mid", "lower", "basilar", ""}


def visit(*findings: tuple[str, float]) -> Visit:
    items = tuple(Finding(name, "left", "", severity, "", 1) for name, severity in findings)
    return Visit(0, 0, datetime(2150, 1, 1), items, ())


@pytest.fixture(scope="module")
def patients() -> list[tuple[Visit, ...]]:
    return [draw_visits(3, patient, 4, age=30 + patient % 50) for patient in range(300)]


def test_names_types_levels_sides_and_zones_are_those_of_the_data_set(patients):
    assert len(FINDING_SPECS) >= 16
    findings = all_findings(patients)
    names = {item.name for item in findings}
    assert names == {spec.name for spec in FINDING_SPECS} <= set(FINDINGS)
    assert {item.type for item in findings} - {""} <= set(TYPES)
    assert {level_of(item.name, item.severity) for item in findings} - {""} <= set(LEVELS)
    assert {item.side for item in findings} <= SIDES
    assert {item.zone for item in findings} <= ZONES


def all_findings(patients):
    return [item for visits in patients for visit in visits for item in visit.findings]


def test_equal_arguments_give_equal_visits_and_longer_histories_the_same_beginning():
    assert draw_visits(5, 9, 3) == draw_visits(5, 9, 3) == draw_visits(5, 9, 4)[:3]
    assert draw_visits(5, 9, 3) != draw_visits(6, 9, 3)


def test_severities_are_outside_of_the_dead_band(patients):
    cuts = {spec.name: CUTS[: len(spec.scale) - 1] for spec in FINDING_SPECS}
    for item in all_findings(patients):
        distance = min((abs(item.severity - cut) for cut in cuts[item.name]), default=1.0)
        assert distance >= DEAD_BAND / 2 - 1e-9, item


def test_a_persistent_finding_keeps_its_location_and_changes_level_by_a_visible_step(patients):
    num_persistent = num_changed = 0
    for visits in patients:
        for before, after in pairwise(visits):
            old = {item.name: item for item in before.findings}
            for item in after.findings:
                if item.name not in old:
                    continue
                num_persistent += 1
                first = old[item.name]
                assert replace(first, severity=item.severity) == item
                if level_of(item.name, item.severity) != level_of(item.name, first.severity):
                    num_changed += 1
                    assert abs(item.severity - first.severity) >= MIN_LEVEL_CHANGE
    assert num_changed > 0.05 * num_persistent > 0


def test_lifelong_findings_persist_and_heart_failure_includes_its_findings(patients):
    lifelong = {spec.name for spec in FINDING_SPECS if spec.resolve == 0.0}
    for visits in patients:
        for before, after in pairwise(visits):
            names = {item.name for item in after.findings}
            assert {item.name for item in before.findings} & lifelong <= names
            assert before.taken_at < after.taken_at
            if "heart failure" in names:
                assert {"cardiomegaly", "vascular congestion"} <= names
            assert not {"pleural effusion", "blunting of the costophrenic angle"} <= names


def test_the_first_visit_has_the_prevalence_of_the_catalogue(patients):
    count = sum("pleural effusion" in {i.name for i in visits[0].findings} for visits in patients)
    assert 0.15 < count / len(patients) < 0.4


@pytest.mark.parametrize(
    ("name", "severity", "word"),
    [
        ("pleural effusion", 0.12, "minimal"),
        ("pneumothorax", 0.3, "small"),
        ("edema", 0.3, "mild"),
        ("atelectasis", 0.5, "moderate"),
        ("pleural effusion", 0.78, "moderate to large"),
        ("cardiomegaly", 0.78, "severe"),
        ("pleural effusion", 0.95, "massive"),
        ("fracture", 0.5, ""),
        ("thymoma", 0.5, ""),
    ],
)
def test_levels(name, severity, word):
    assert level_of(name, severity) == word


def test_difference_by_name_and_level():
    before = visit(("edema", 0.3), ("pneumothorax", 0.3), ("hernia", 0.4))
    after = visit(("edema", 0.8), ("atelectasis", 0.3), ("hernia", 0.6))
    changes = difference(before, after)
    assert changes == {
        Change("atelectasis", "added"),
        Change("pneumothorax", "missing"),
        Change("edema", "level", "mild", "severe"),
    }
    assert difference(before, before) == frozenset()
    assert difference(after, before) == invert(changes)


def test_the_number_of_visits_is_limited():
    with pytest.raises(ValueError, match="1 to 16 visits, got 0"):
        draw_visits(0, 0, 0)
