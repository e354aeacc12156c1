"""Difficulty: subtlety lowers severities within their level; confound couples the view."""

import pytest

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.catalogue import CUTS, DEAD_BAND, FINDING_SPECS
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.findings import DiseaseCourse, draw_visits, level_of


@pytest.mark.parametrize(
    ("subtlety", "low", "high"), [(0.0, 0.4, 0.6), (0.5, 0.3, 0.4), (1.0, 0.2, 0.31)]
)
def test_subtlety_lowers_severities_and_keeps_levels_valid(subtlety, low, high):
    course = DiseaseCourse(Difficulty(subtlety=subtlety))
    findings = [
        item
        for patient in range(200)
        for visit in draw_visits(3, patient, 3, course=course)
        for item in visit.findings
    ]
    assert len(findings) > 500
    assert low < sum(item.severity for item in findings) / len(findings) < high
    scales = {spec.name: spec.scale for spec in FINDING_SPECS}
    for item in findings:
        scale = scales[item.name]
        cuts = CUTS[: len(scale) - 1]
        distance = min((abs(item.severity - cut) for cut in cuts), default=1.0)
        assert distance >= DEAD_BAND / 2 - 1e-9
        assert level_of(item.name, item.severity) in [grade.word for grade in scale]


def test_the_view_is_independent_of_illness_unless_confounded():
    def ap_fraction(illness, confound):
        views = [
            draw_acquisition(5, i, 0, 0, illness=illness, confound=confound).view
            for i in range(200)
        ]
        return views.count("AP") / 200

    assert ap_fraction(0.9, 0.0) == ap_fraction(0.0, 0.0)
    assert ap_fraction(0.9, 1.0) > 0.9 > 0.2 > ap_fraction(0.0, 1.0)


def test_prevalence_0_has_no_findings_or_devices():
    course = DiseaseCourse(Difficulty(prevalence=0.0))
    visits = [visit for p in range(20) for visit in draw_visits(3, p, 3, course=course)]
    assert not any(visit.findings or visit.devices for visit in visits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tier": "corse"}, "did you mean 'coarse'"),
        ({"subtlety": 1.5}, "subtlety 1.5: choose between 0 and 1"),
        ({"nuisance": -1.0}, "nuisance -1.0: choose between 0 and 1.5"),
        ({"prevalence": -1.0}, "prevalence -1.0 is negative"),
    ],
)
def test_invalid_parameters_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        Difficulty(**options)
