"""The box of every region contains its isolated structure; negative controls with wrong boxes."""

from dataclasses import replace

import numpy as np
import pytest

from exposures import exposures, visit_with
from isolated_regions import isolated_region
from lapse.core.annotation_names import FURTHER_REGIONS, REGIONS
from lapse.phantom.patients.patient import DETAILS
from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.render import render

SIZE = 96
DISPLACED = ("cardiac silhouette", "trachea", "carina", "spine", "right clavicle", "svc")
THRESHOLD = 0.12  # of the maximum: where a structure is visible
NUM_PATIENTS = 14
NAMES = (*REGIONS, *FURTHER_REGIONS)


def excess(name, box, person, visit, acquisition):
    """By how many pixels the structure exceeds each side of its box."""
    image = isolated_region(name, person, visit, acquisition, SIZE)
    is_visible = image > THRESHOLD * image.max()
    assert is_visible.any(), f"{name} is empty"
    height, width = image.shape
    rows = np.flatnonzero(is_visible.any(axis=1))
    columns = np.flatnonzero(is_visible.any(axis=0))
    return (
        box[0] * width - columns[0],
        box[1] * height - rows[0],
        columns[-1] + 1 - box[2] * width,
        rows[-1] + 1 - box[3] * height,
    )


@pytest.fixture(scope="module")
def rendered():
    """(patient, visit, acquisition, boxes) of random patients."""
    return [(*exposure, render(*exposure, SIZE).boxes) for exposure in exposures(9, NUM_PATIENTS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_box_contains_its_structure(name, rendered):
    values = [max(excess(name, boxes[name], *rest)) for *rest, boxes in rendered if name in boxes]
    assert len(values) >= NUM_PATIENTS - 3
    assert max(values) <= 1.2, f"{name} exceeds its box by {max(values):.1f} of {SIZE} px"


def test_boxes_follow_the_displaced_organs_of_a_detailed_anatomy():
    pushed = (
        Finding("pleural effusion", "right", "basilar", 0.95, "", 3),
        Finding("pneumothorax", "left", "apical", 0.95, "", 4),
    )
    num_checked = 0
    for finding in (None, *pushed):
        visit = visit_with(*((finding,) if finding else ()))
        for person, _, acquisition in exposures(14, 1, is_portable=finding is None):
            detailed = replace(person, details=DETAILS)
            boxes = render(detailed, visit, acquisition, SIZE).boxes
            for name, box in boxes.items():
                if finding is None or name in DISPLACED:
                    assert max(excess(name, box, detailed, visit, acquisition)) <= 1.5, name
                    num_checked += 1
            if finding is not None:  # the boxes have moved with the organs
                before = render(person, visit, acquisition, SIZE).boxes
                moved = boxes["trachea"][0] - before["trachea"][0]
                assert moved > 0.02 if finding.side == "right" else moved < -0.02
    assert num_checked > 40


def test_boxes_follow_the_geometry_of_portable_films():
    num_checked = 0
    for *exposure, acquisition in exposures(13, 2, nuisance=1.5, is_portable=True):
        boxes = render(*exposure, acquisition, SIZE).boxes
        for name, box in boxes.items():
            assert max(excess(name, box, *exposure, acquisition)) <= 1.5, name
            num_checked += 1
    assert num_checked > 60


ANATOMY_CHANGES = (
    Finding("pleural effusion", "right", "basilar", 0.5, "", 3),
    Finding("cardiomegaly", "", "", 0.9, "", 4),
    Finding("scoliosis", "", "", 0.7, "", 5),
    Finding("tortuosity of the thoracic aorta", "", "", 0.8, "", 6),
    Finding("emphysema", "bilateral", "", 0.8, "", 7),
)


@pytest.mark.parametrize("finding", ANATOMY_CHANGES, ids=[item.name for item in ANATOMY_CHANGES])
def test_boxes_follow_the_effects_of_findings_on_the_anatomy(finding):
    for person, _, acquisition in exposures(11, 3):
        visit = visit_with(finding)
        boxes = render(person, visit, acquisition, SIZE).boxes
        for name in ("cardiac silhouette", "mediastinum", "aortic arch", "spine", "trachea"):
            if name in boxes:
                assert max(excess(name, boxes[name], person, visit, acquisition)) <= 1.5, name


def shrunk(box, fraction=0.06):
    """A box that is slightly too small on all sides."""
    x, y = fraction * (box[2] - box[0]), fraction * (box[3] - box[1])
    return box[0] + x, box[1] + y, box[2] - x, box[3] - y


@pytest.mark.parametrize("name", ["cardiac silhouette", "right lung", "left clavicle", "spine"])
def test_a_box_that_is_too_small_fails_the_check(name, rendered):
    """Negative control."""
    boxes_of = [(boxes[name], rest) for *rest, boxes in rendered if name in boxes]
    values = [max(excess(name, shrunk(box), *rest)) for box, rest in boxes_of]
    assert np.median(values) > 1.2


@pytest.mark.parametrize("name", ["cardiac silhouette", "left lung", "svc", "aortic arch"])
def test_boxes_are_tight(name, rendered):
    for *rest, boxes in rendered:
        if name in boxes:
            assert min(excess(name, boxes[name], *rest)) >= -0.16 * SIZE


def test_an_unknown_region_is_rejected():
    with pytest.raises(ValueError, match="'left knee' is not a region"):
        isolated_region("left knee", *next(exposures(12, 1)), SIZE)
