"""A detailed anatomy: each detail does what it is for, and changes the image alone."""

from dataclasses import replace

import numpy as np
import pytest

from exposures import visit_with
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import DETAILS, draw_patient
from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.render import expose, line_integrals, render

SIZE = 128
PERSON = draw_patient(3, 7)
WOMAN = next(p for p in (draw_patient(3, i) for i in range(20)) if p.sex == "F")
ERECT = next(
    replace(film, aspect=1.0, collimation=(0.0,) * 4, marker="", label="")
    for film in (draw_acquisition(1, 7, visit, 0, nuisance=0.3) for visit in range(50))
    if film.view == "PA"
)
EFFUSION = Finding("pleural effusion", "right", "basilar", 0.5, "", 3)
MASSIVE = Finding("pleural effusion", "right", "basilar", 0.95, "", 3)
TENSION = Finding("pneumothorax", "left", "apical", 0.95, "", 3)
LOBAR = Finding("consolidation", "left", "lower", 0.7, "", 6)
BASAL = Finding("atelectasis", "left", "basilar", 0.9, "compressive", 7)
FINDINGS = {
    "meniscus": EFFUSION,
    "mass effect": MASSIVE,
    "fissures": LOBAR,
    "basal atelectasis": BASAL,
}


def integrals(person, *findings, acquisition=ERECT):
    visit = visit_with(*findings)
    anatomy, camera = expose(person, visit, acquisition, SIZE)
    return line_integrals(anatomy, visit, acquisition, camera).astype(float)


def with_details(person, *details):
    return replace(person, details=frozenset(details))


@pytest.mark.parametrize("name", sorted(DETAILS))
def test_each_detail_changes_the_image_by_itself(name):
    person = WOMAN if name == "breasts" else PERSON
    findings = (FINDINGS[name],) if name in FINDINGS else ()
    plain = integrals(person, *findings)
    changed = integrals(with_details(person, name), *findings)
    assert 0.002 < (np.abs(changed - plain) > 0.03).mean() < 0.75
    others = integrals(with_details(person, *(DETAILS - {name})), *findings)
    assert not np.array_equal(others, integrals(with_details(person, *DETAILS), *findings))


def fluid_top(person):
    """The first row with fluid, for columns from the wall to the middle of the right lung."""
    change = integrals(person, EFFUSION) - integrals(person)
    has_fluid = change > 0.45 * change.max()
    columns = np.flatnonzero(has_fluid.sum(axis=0) > 4)
    return [int(np.flatnonzero(has_fluid[:, column])[0]) for column in columns]


def test_an_erect_effusion_climbs_along_the_wall():
    plain, detailed = fluid_top(PERSON), fluid_top(with_details(PERSON, "meniscus"))
    lateral, middle = detailed[3], max(detailed)
    assert middle - lateral >= 8
    assert max(plain[3 : len(plain) // 2]) - plain[3] <= 5  # a level top


def middles(person, finding):
    anatomy, _ = expose(person, visit_with(finding), ERECT, SIZE)
    return anatomy


@pytest.mark.parametrize(("finding", "sign"), [(MASSIVE, 1.0), (TENSION, -1.0)])
def test_a_massive_finding_moves_trachea_and_heart_but_not_the_chest_wall(finding, sign):
    person = with_details(PERSON, "mass effect")
    healthy = expose(person, visit_with(), ERECT, SIZE)[0]
    pushed = middles(person, finding)
    assert sign * (pushed.hearts[0, 0] - healthy.hearts[0, 0]) > 15
    for z in (-60.0, 0.0, 60.0):
        walls = [
            (a.at(7, z) - a.half_width(0, z), a.at(7, z) + a.half_width(1, z))
            for a in (healthy, pushed)
        ]
        assert np.allclose(*walls, atol=0.5)
    small = replace(finding, severity=0.4)
    assert abs(middles(person, small).hearts[0, 0] - healthy.hearts[0, 0]) < 0.5


def test_a_dense_base_is_not_brighter_than_the_spine():
    added = []
    for details in ((), ("basal atelectasis",)):
        person = with_details(PERSON, *details)
        change = integrals(person, BASAL) - integrals(person)
        rows, columns = np.nonzero(change > 0.6 * change.max())
        lateral = columns > np.median(columns)
        image = integrals(person, BASAL)
        spine = image[rows.min() : rows.max(), SIZE // 2 - 3 : SIZE // 2 + 3]
        added.append(change.max())
        assert np.percentile(image[rows[lateral], columns[lateral]], 90) < np.median(spine) or (
            not details
        )
    assert added[1] < 0.85 * added[0]


def test_a_fissure_is_not_a_straight_cut():
    def sharpest(person):
        change = integrals(person, LOBAR) - integrals(person)
        return np.abs(np.diff(change, axis=0)).max() / change.max()

    assert sharpest(with_details(PERSON, "fissures")) < 0.7 * sharpest(PERSON)


def test_bowel_gas_belongs_to_the_exposure():
    person = with_details(PERSON, "bowel gas")
    gases = [expose(person, visit_with(), replace(ERECT, seed=s), SIZE)[0].gases for s in (1, 2, 1)]
    assert np.array_equal(gases[0], gases[2])
    assert gases[0].shape != gases[1].shape or not np.array_equal(gases[0], gases[1])


def test_equal_arguments_give_equal_bytes():
    person = with_details(PERSON, *DETAILS)
    images = [render(person, visit_with(MASSIVE), ERECT, SIZE).image for _ in range(2)]
    assert np.array_equal(*images)
