"""Every region's box holds its structure, rendered by itself; the same check on broken boxes."""

import numpy as np
import pytest

from exposures import at_visit, exposures
from lapse.phantom.patients.regions import OTHER_REGIONS, REGIONS
from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering.isolated import isolated_finding, isolated_region
from lapse.phantom.rendering.render import expose, line_integrals, render

SIZE = 96
EDGE = 0.12  # of the largest value: where a structure begins to be seen
PEOPLE = 14
NAMES = (*REGIONS, *OTHER_REGIONS)


def beyond(name, box, person, visit, taken, size=SIZE):
    """How many pixels the structure reaches beyond each side of its box."""
    alone = isolated_region(name, person, visit, taken, size)
    seen = alone > EDGE * alone.max()
    assert seen.any(), f"{name} is drawn nowhere"
    height, width = alone.shape
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (
        box[0] * width - columns[0],
        box[1] * height - rows[0],
        columns[-1] + 1 - box[2] * width,
        rows[-1] + 1 - box[3] * height,
    )


@pytest.fixture(scope="module")
def shown():
    return [(*state, render(*state, SIZE).boxes) for state in exposures(9, PEOPLE)]


@pytest.mark.parametrize("name", NAMES)
def test_a_box_holds_its_structure(name, shown):
    over = [
        max(beyond(name, boxes[name], person, visit, taken))
        for person, visit, taken, boxes in shown
        if name in boxes
    ]
    assert len(over) >= PEOPLE - 3
    assert max(over) <= 1.2, f"{name} reaches {max(over):.1f} px of {SIZE} beyond its box"


SICK = (
    Finding("pleural effusion", "right", "basilar", 0.5, "", 3),
    Finding("cardiomegaly", "", "", 0.9, "", 4),
    Finding("scoliosis", "", "", 0.7, "", 5),
    Finding("tortuosity of the thoracic aorta", "", "", 0.8, "", 6),
    Finding("emphysema", "bilateral", "", 0.8, "", 7),
)


@pytest.mark.parametrize("finding", SICK, ids=[item.name for item in SICK])
def test_boxes_follow_what_findings_do_to_the_anatomy(finding):
    for person, _, taken in exposures(11, 3):
        visit = at_visit(finding)
        boxes = render(person, visit, taken, SIZE).boxes
        for name in ("cardiac silhouette", "mediastinum", "aortic arch", "spine", "trachea"):
            if name in boxes:
                assert max(beyond(name, boxes[name], person, visit, taken)) <= 1.5, name


def squeezed(box, share=0.06):
    """The sabotage: a box a little too small on all sides."""
    x, y = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] + x, box[1] + y, box[2] - x, box[3] - y


@pytest.mark.parametrize("name", ["cardiac silhouette", "right lung", "left clavicle", "spine"])
def test_the_check_finds_boxes_that_are_too_small(name, shown):
    over = [
        max(beyond(name, squeezed(boxes[name]), person, visit, taken))
        for person, visit, taken, boxes in shown
        if name in boxes
    ]
    assert np.median(over) > 1.2


@pytest.mark.parametrize("name", ["cardiac silhouette", "left lung", "svc", "aortic arch"])
def test_boxes_are_tight(name, shown):
    for person, visit, taken, boxes in shown:
        if name in boxes:
            slack = [-value for value in beyond(name, boxes[name], person, visit, taken)]
            assert max(slack) <= 0.16 * SIZE


def test_a_finding_alone_is_the_difference_of_two_exposures():
    person, visit, taken = next(exposures(12, 1))
    finding = Finding("consolidation", "left", "lower", 0.7, "", 5)
    alone = isolated_finding(finding, person, visit, taken, SIZE)
    images = []
    for state in (at_visit(finding), visit):
        anatomy, camera = expose(person, state, taken, SIZE)
        images.append(line_integrals(anatomy, state, taken, camera))
    assert np.array_equal(alone, images[0] - images[1])
    assert np.array_equal(alone, isolated_finding(finding, person, at_visit(finding), taken, SIZE))
    assert alone.max() > 0.3


def test_unknown_names_are_told_or_draw_nothing():
    person, visit, taken = next(exposures(12, 1))
    with pytest.raises(ValueError, match="'left knee' is not a region"):
        isolated_region("left knee", person, visit, taken, SIZE)
    nothing = Mimic("hat", "granuloma", "left", "mid", 1)
    assert not isolated_finding(nothing, person, visit, taken, SIZE).any()
