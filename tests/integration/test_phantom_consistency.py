"""Text agrees with the state: reports, difference answers, persistent findings, swapped pairs.

Each property is counted over many patients, and again with a defect as a negative control.
"""

from dataclasses import replace
from itertools import pairwise

import pytest

from lapse.core.changes import QUESTION_CHANGED, Change, invert
from lapse.core.grammar import parse
from lapse.phantom.dataset.history import History
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.patients import findings
from lapse.phantom.patients.findings import level_of
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.text import phrases
from lapse.phantom.text.questions import pair_questions
from phantom_histories import histories
from report_findings import extract_findings
from second_reader import read_findings

SEED = 23
MIXED = SimulateConfig(
    patients=800,
    seed=SEED,
    size=64,
    tier="mixed",
    counterfactual_fraction=0.4,
    ood_fraction=0.5,
)
SIDE_OMITTED = (  # findings whose side a report does not state, because only one is possible
    "edema",
    "vascular congestion",
    "hilar congestion",
    "emphysema",
    "gastric distention",
)


def stated(visit: Visit) -> dict[str, tuple[str, str]]:
    """Name -> (level, side) as a report states it."""
    return {
        item.name: (
            level_of(item.name, item.severity),
            "" if item.name in SIDE_OMITTED else item.side,
        )
        for item in visit.findings
    }


def count_reports(config: SimulateConfig, patients: int) -> tuple[int, int]:
    """Reports from which both extractors get the state, and all reports."""
    num_correct = num_reports = 0
    for history in histories(config)[:patients]:
        previous = None
        for exposure in history.exposures:
            text = study_report(config, history, exposure.visit, previous).text
            state = stated(exposure.visit)
            num_correct += read_findings(text) == state and extract_findings(text) == set(state)
            num_reports += 1
            previous = exposure.visit
    return num_correct, num_reports


@pytest.mark.parametrize(("patients", "priors"), [(800, False), (200, True)])
def test_two_extractors_get_the_state_from_every_report(patients, priors):
    num_correct, num_reports = count_reports(replace(MIXED, priors=priors), patients)
    assert num_correct == num_reports > 3 * patients


def test_a_wrong_level_is_detected(monkeypatch):
    def wrong_level(name: str, severity: float) -> str:
        return {"mild": "moderate"}.get(level_of(name, severity), level_of(name, severity))

    monkeypatch.setattr(phrases, "level_of", wrong_level)
    num_correct, num_reports = count_reports(MIXED, 200)
    assert num_correct < 0.9 * num_reports


def test_a_mimic_that_is_reported_as_a_finding_is_detected():
    config = replace(MIXED, tier="fine", patients=250)
    num_detected = num_reports = 0
    for history in histories(config):
        for exposure in history.exposures:
            visit = exposure.visit
            names = {item.name for item in visit.findings}
            mimic = next((item for item in visit.mimics if item.like not in names), None)
            if mimic is None:
                continue
            wrong = Finding(mimic.like, mimic.side, mimic.zone, 0.3, "", mimic.seed)
            wrong_visit = replace(visit, findings=(*visit.findings, wrong))
            text = study_report(config, history, wrong_visit, None).text
            num_reports += 1
            num_detected += set(read_findings(text)) != names
    assert num_detected == num_reports > 100


def expected_changes(before: Visit, after: Visit) -> frozenset[Change]:
    """The difference of two states by an independent implementation."""
    old = {item.name: level_of(item.name, item.severity) for item in before.findings}
    new = {item.name: level_of(item.name, item.severity) for item in after.findings}
    changes = set()
    for name in {*old, *new}:
        if name not in new:
            changes.add(Change(name, "missing"))
        elif name not in old:
            changes.add(Change(name, "added"))
        elif old[name] != new[name]:
            changes.add(Change(name, "level", old[name], new[name]))
    return frozenset(changes)


def answered_changes(reference: Visit, main: Visit) -> frozenset[Change]:
    """The changes in the difference answer, which must be parsed completely."""
    questions = pair_questions(reference, main, "PA", seed=SEED)
    (text,) = [item.answer for item in questions if item.question == QUESTION_CHANGED]
    answer = parse(text)
    assert answer.is_parsed and answer.is_unchanged == (not answer.changes)
    return answer.changes


def count_answers(patients: int) -> tuple[int, int, int]:
    """Correct answers, answers whose swapped pair has the inverse answer, and all answers."""
    num_correct = num_inverted = num_answers = 0
    for history in histories(MIXED)[:patients]:
        for reference, main in history.pairs:
            changes = answered_changes(reference.visit, main.visit)
            num_correct += changes == expected_changes(reference.visit, main.visit)
            num_inverted += answered_changes(main.visit, reference.visit) == invert(changes)
            num_answers += 1
    return num_correct, num_inverted, num_answers


def test_answers_follow_from_the_states_and_invert_with_the_pair():
    num_correct, num_inverted, num_answers = count_answers(800)
    assert num_correct == num_inverted == num_answers > 2500


def test_an_answer_without_missing_findings_is_detected(monkeypatch):
    def incomplete(before: Visit, after: Visit) -> frozenset[Change]:
        return frozenset(c for c in findings.difference(before, after) if c.kind != "missing")

    monkeypatch.setattr("lapse.phantom.text.questions.difference", incomplete)
    num_correct, num_inverted, num_answers = count_answers(200)
    assert num_correct < 0.8 * num_answers and num_inverted < 0.8 * num_answers


def count_persistent(patients: tuple[History, ...]) -> tuple[int, int]:
    """Findings that persist with equal identity, and all that persist."""
    num_equal = num_persistent = 0
    for history in patients:
        for before, after in pairwise(item.visit for item in history.exposures):
            old = {item.name: item for item in before.findings}
            for item in after.findings:
                if item.name in old and not history.role.is_counterfactual:
                    num_persistent += 1
                    num_equal += replace(old[item.name], severity=item.severity) == item
    return num_equal, num_persistent


def test_a_persistent_finding_keeps_its_identity():
    num_equal, num_persistent = count_persistent(histories(MIXED))
    assert num_equal == num_persistent > 1000


def test_a_persistent_finding_with_a_new_seed_is_detected():
    """Negative control."""
    changed = []
    for history in histories(MIXED)[:200]:
        exposures = []
        for item in history.exposures:
            renewed = tuple(replace(f, seed=f.seed + item.visit.index) for f in item.visit.findings)
            exposures.append(replace(item, visit=replace(item.visit, findings=renewed)))
        changed.append(replace(history, exposures=tuple(exposures)))
    num_equal, num_persistent = count_persistent(tuple(changed))
    assert num_equal == 0 < num_persistent
