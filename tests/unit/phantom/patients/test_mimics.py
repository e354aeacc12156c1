"""Fine findings and their mimics: equal distributions, and no mention in any text."""

from collections import Counter
from itertools import pairwise

import pytest

from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.patients.catalogue import CUTS, FINDING_SPECS
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits
from lapse.phantom.patients.mimics import FINE_FINDINGS, MIMIC_OF, MIMICS, tier_specs
from lapse.phantom.text.questions import pair_questions
from phantom_histories import MIXED, histories


@pytest.fixture(scope="module")
def fine_visits():
    """The visits of 700 patients of the fine tier."""
    course = DiseaseCourse(Difficulty(tier="fine"))
    return [draw_visits(3, patient, 3, course=course) for patient in range(700)]


def test_only_the_four_findings_with_a_mimic_are_fine():
    assert set(FINE_FINDINGS) == {"pneumothorax", "edema", "granuloma", "fracture"}
    for history in histories():
        for item in (f for e in history.exposures for f in e.visit.findings):
            is_fine = history.role.tier == "fine" and item.name in FINE_FINDINGS
            assert item.is_fine is is_fine
            if item.is_fine and item.name in ("pneumothorax", "edema"):
                assert item.severity < CUTS[1]  # a cue alone is at most small or mild


def test_both_tiers_have_the_same_findings():
    assert [spec.name for spec in tier_specs("fine")] == [spec.name for spec in FINDING_SPECS]


def test_a_fine_instance_is_finding_or_mimic_with_equal_frequency(fine_visits):
    findings, mimics = Counter(), Counter()
    for visits in fine_visits:
        for visit in visits:
            names = {item.name for item in visit.findings}
            for item in visit.mimics:
                if item.name in MIMIC_OF.values():
                    assert item.like not in names  # a mimic is never next to its finding
                    mimics.update(("all", f"{item.like} {item.side} {item.zone}"))
            for item in visit.findings:
                if item.name in FINE_FINDINGS:
                    findings.update(("all", f"{item.name} {item.side} {item.zone}"))
        for before, after in pairwise(visits):
            for name in FINE_FINDINGS:
                old, new = instance_kind(before, name), instance_kind(after, name)
                if old != new and "" in (old, new):
                    counts = findings if "finding" in (old, new) else mimics
                    counts["onset" if new else "resolution"] += 1
    for key, number in findings.items():
        spread = (number + mimics[key]) ** 0.5  # of the difference of two equal rates
        assert abs(number - mimics[key]) < 4.5 * spread, (key, number, mimics[key])
    assert findings["all"] > 500


def instance_kind(visit, name):
    """ "finding", "mimic" or "" for a fine finding at a visit."""
    if any(item.name == name for item in visit.findings):
        return "finding"
    return "mimic" if any(item.name == MIMIC_OF[name] for item in visit.mimics) else ""


def test_a_mimic_that_persists_is_unchanged(fine_visits):
    num_persistent = 0
    for visits in fine_visits:
        for before, after in pairwise(visits):
            old = {item.seed: item for item in before.mimics if item.like in FINE_FINDINGS}
            for item in after.mimics:
                if item.seed in old:
                    num_persistent += 1
                    assert item == old[item.seed]
    assert num_persistent > 200


def test_coarse_mimics_are_independent_of_findings():
    present, absent = Counter(), Counter()
    for patient in range(1000):
        for visit in draw_visits(4, patient, 2):
            findings = {item.name for item in visit.findings}
            mimics = {item.name for item in visit.mimics}
            for spec in MIMICS:
                group = present if spec.like in findings else absent
                group[spec.name, spec.name in mimics] += 1
    for spec in MIMICS:
        totals = [group[spec.name, True] + group[spec.name, False] for group in (present, absent)]
        rates = present[spec.name, True] / totals[0], absent[spec.name, True] / totals[1]
        spread = (spec.rate / totals[0] + spec.rate / totals[1]) ** 0.5
        assert abs(rates[0] - rates[1]) < 3.5 * spread, (spec.name, rates)


def test_nuisance_0_has_no_mimics():
    course = DiseaseCourse(Difficulty(nuisance=0.0))
    assert not any(visit.mimics for visit in draw_visits(4, 0, 8, course=course))


def test_no_report_question_or_answer_mentions_a_mimic():
    names = {spec.name for spec in MIMICS}
    for history in histories()[:250]:
        texts = [
            study_report(MIXED, history, exposure.visit, None).text.lower()
            for exposure in history.exposures
        ]
        for reference, main in history.pairs:
            for item in pair_questions(reference.visit, main.visit, "AP", seed=6):
                texts.append(f"{item.question} {item.answer}")
        assert not any(name in " ".join(text.split()) for text in texts for name in names)
