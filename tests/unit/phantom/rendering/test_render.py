"""The picture: equal bytes, sides, places, sizes; every finding shows where it should."""

import dataclasses
from datetime import datetime

import numpy as np
import pytest

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.regions import OTHER_REGIONS, REGIONS
from lapse.phantom.patients.state import Device, Finding, Visit
from lapse.phantom.rendering.render import render

SIZE = 128
PERSON = draw_patient(0, 7)


def taken(view="PA", *, supine=False, start=0, nuisance=0.4):
    """The first acquisition of this kind, with no label that would name the view."""
    for visit in range(start, start + 200):
        found = draw_acquisition(1, 7, visit, 0, nuisance=nuisance)
        if (found.view, found.is_supine) == (view, supine):
            return dataclasses.replace(found, label="")
    raise AssertionError("no such acquisition")


def at_visit(*findings, devices=()):
    return Visit(7, 0, datetime(2150, 1, 1), findings, devices)


def picture(*findings, acquisition=None, size=SIZE, devices=()):
    return render(PERSON, at_visit(*findings, devices=devices), acquisition or PLAIN, size)


PLAIN = taken()
NORMAL = render(PERSON, at_visit(), PLAIN, SIZE)


def change(*findings, acquisition=PLAIN):
    """How many grey levels each pixel moved because of the findings."""
    without = picture(acquisition=acquisition).image.astype(float)
    return picture(*findings, acquisition=acquisition).image - without


def window(box, shape, margin=0.0):
    """The pixels of a box."""
    height, width = shape
    mask = np.zeros(shape, dtype=bool)
    left, right = max(0.0, box[0] - margin) * width, min(1.0, box[2] + margin) * width
    top, bottom = max(0.0, box[1] - margin) * height, min(1.0, box[3] + margin) * height
    mask[round(top) : round(bottom), round(left) : round(right)] = True
    return mask


def test_equal_inputs_give_equal_bytes_and_boxes():
    sick = (Finding("pneumonia", "left", "lower", 0.5, "", 3), Finding("edema", "", "", 0.4, "", 9))
    first, second = picture(*sick), picture(*sick)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.boxes == second.boxes
    assert draw_patient(3, 5) == draw_patient(3, 5) != draw_patient(3, 6)
    again = draw_acquisition(3, 5, 1, 0)
    assert again == draw_acquisition(3, 5, 1, 0) != draw_acquisition(3, 5, 2, 0)
    other = dataclasses.replace(PLAIN, seed=PLAIN.seed + 1)
    assert picture(acquisition=other).image.tobytes() != NORMAL.image.tobytes()


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (128, 128)), (0.82, (128, 105)), (1.2, (107, 128))]
)
def test_the_longest_side_is_the_size(aspect, shape):
    image = picture(acquisition=dataclasses.replace(PLAIN, aspect=aspect)).image
    assert image.shape == shape
    assert image.dtype == np.uint8


def test_bones_are_white_and_lungs_dark():
    image, boxes = NORMAL.image, NORMAL.boxes
    spine = window(boxes["spine"], image.shape)
    lung = window(boxes["left mid lung zone"], image.shape) & ~spine
    assert np.median(image[spine]) > np.median(image[lung]) + 60


@pytest.mark.parametrize("index", range(6))
def test_boxes_lie_in_the_image_and_have_area(index):
    person = draw_patient(2, index)
    shown = render(person, at_visit(), draw_acquisition(2, index, 0, 0, nuisance=1.5), 64)
    known = set(REGIONS) | set(OTHER_REGIONS)
    assert len(known) == 36
    assert set(shown.boxes) <= known
    assert len(shown.boxes) >= 28
    for box in shown.boxes.values():
        assert 0 <= box[0] < box[2] <= 1
        assert 0 <= box[1] < box[3] <= 1


def test_boxes_follow_the_anatomy():
    boxes = NORMAL.boxes
    assert len(boxes) == 36

    def middle(name):
        box = boxes[name]
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2

    for part in ("lung", "hilar structures", "clavicle", "costophrenic angle", "hemidiaphragm"):
        assert middle(f"right {part}")[0] < middle("spine")[0] < middle(f"left {part}")[0]
    for side in ("right", "left"):
        heights = [middle(f"{side} {zone} lung zone")[1] for zone in ("upper", "mid", "lower")]
        assert heights == sorted(heights)
    assert middle("aortic arch")[1] < middle("cardiac silhouette")[1] < middle("abdomen")[1]
    assert middle("right hemidiaphragm")[1] < middle("left hemidiaphragm")[1]


def test_boxes_move_with_the_field_and_a_region_outside_is_absent():
    moved = dataclasses.replace(PLAIN, shift=(PLAIN.shift[0] + 30.0, PLAIN.shift[1]))
    shown = picture(acquisition=moved)
    pixel = 30.0 / (PLAIN.field * max(PERSON.width, PERSON.height))
    before, after = NORMAL.boxes["carina"], shown.boxes["carina"]
    assert before[0] - after[0] == pytest.approx(pixel, rel=0.25)
    low = dataclasses.replace(PLAIN, shift=(0.0, -230.0))
    assert "right apical zone" not in picture(acquisition=low).boxes


def test_the_heart_is_larger_ap_than_pa():
    def ratio(source, view):
        camera = dataclasses.replace(PLAIN, source_distance=source, view=view, warp=(0.0,) * 20)
        boxes = picture(acquisition=camera).boxes
        heart = boxes["cardiac silhouette"]
        chest = boxes["left lung"][2] - boxes["right lung"][0]
        return (heart[2] - heart[0]) / chest

    pa, ap = ratio(1800.0, "PA"), ratio(1050.0, "AP")
    assert 0.36 < pa < 0.56
    assert ap > 1.02 * pa


@pytest.mark.parametrize("supine", [False, True])
def test_a_right_effusion_whitens_the_left_of_the_image(supine):
    acquisition = taken("AP", supine=True) if supine else PLAIN
    moved = change(
        Finding("pleural effusion", "right", "basilar", 0.5, "", 4), acquisition=acquisition
    )
    middle = moved.shape[1] // 2
    boxes = picture(acquisition=acquisition).boxes
    lower = window(boxes["right lower lung zone"], moved.shape)
    assert moved[lower].mean() > 15
    assert np.abs(moved[:, :middle]).mean() > 2 * np.abs(moved[:, middle:]).mean()


def test_air_in_the_pleural_space_darkens_the_apex():
    moved = change(Finding("pneumothorax", "left", "apical", 0.5, "", 4))
    apex = window(NORMAL.boxes["left apical zone"], moved.shape)
    assert moved[apex].mean() < -3


LOCAL = [
    ("pleural effusion", "right", "basilar", "", "right lower lung zone"),
    ("pneumothorax", "left", "apical", "", "left lung"),
    ("consolidation", "right", "lower", "", "right lung"),
    ("consolidation", "left", "upper", "", "left lung"),
    ("pneumonia", "left", "mid", "", "left lung"),
    ("lung opacity", "right", "mid", "patchy", "right lung"),
    ("atelectasis", "left", "basilar", "linear", "left lung"),
    ("atelectasis", "right", "basilar", "plate-like", "right lung"),
    ("atelectasis", "right", "basilar", "compressive", "right lung"),
    ("pleural thickening", "right", "apical", "", "right upper lung zone"),
    ("pleural thickening", "left", "lower", "", "left lung"),
    ("blunting of the costophrenic angle", "right", "basilar", "", "right costophrenic angle"),
    ("granuloma", "left", "upper", "calcified", "left upper lung zone"),
    ("calcification", "", "", "", "aortic arch"),
    ("fracture", "left", "mid", "", "left lung"),
    ("cardiomegaly", "", "", "", "cardiac silhouette"),
    ("enlargement of the cardiac silhouette", "", "", "", "cardiac silhouette"),
    ("hernia", "", "", "", "cardiac silhouette"),
    ("tortuosity of the thoracic aorta", "", "", "", "mediastinum"),
    ("gastric distention", "left", "", "", "left upper abdomen"),
    ("atelectasis", "left", "basilar", "obstructive", "left lung"),
    ("atelectasis", "right", "upper", "obstructive", "right lung"),
    ("thymoma", "", "", "", "mediastinum"),
    ("pneumomediastinum", "", "", "", "mediastinum"),
    ("hematoma", "right", "mid", "", "right lung"),
    ("hypertensive heart disease", "", "", "", "cardiac silhouette"),
]


@pytest.mark.parametrize(("name", "side", "zone", "kind", "region"), LOCAL)
def test_a_finding_shows_in_its_region(name, side, zone, kind, region):
    finding = Finding(name, side, zone, 0.8, kind, 12)
    moved = np.abs(change(finding))
    box = picture(finding).boxes[region]
    inside = window(box, moved.shape, 0.03)
    assert (moved[inside] > 12).sum() >= 12
    # a lung full of air moves the equalised histogram, a collapsed lobe draws the heart over
    least = 1.8 if name == "pneumothorax" or kind == "obstructive" else 2.5
    assert moved[inside].mean() > least * moved[~inside].mean()
    weak = np.abs(change(dataclasses.replace(finding, severity=0.25)))
    assert moved[inside].mean() > weak[inside].mean() > 0


WIDE = ("edema", "vascular congestion", "hilar congestion", "emphysema")


@pytest.mark.parametrize("name", WIDE)
def test_a_finding_of_both_lungs_shows_in_both(name):
    moved = np.abs(change(Finding(name, "bilateral", "", 0.8, "", 12)))
    for side in ("right", "left"):
        lung = window(NORMAL.boxes[f"{side} lung"], moved.shape)
        assert moved[lung].mean() > 1.5
        assert (moved[lung] > 12).sum() >= 40


def test_scoliosis_bends_the_spine():
    bent = picture(Finding("scoliosis", "", "", 0.8, "", 3)).boxes["spine"]
    straight = NORMAL.boxes["spine"]
    assert bent[2] - bent[0] > 1.25 * (straight[2] - straight[0])


def place_in_lung(finding, acquisition):
    """The centre of the change, as fractions of the lung's box."""
    moved = np.abs(change(finding, acquisition=acquisition))
    moved = np.where(moved > 0.4 * moved.max(), moved, 0.0)
    rows, columns = np.indices(moved.shape)
    x = (moved * (columns + 0.5)).sum() / moved.sum() / moved.shape[1]
    y = (moved * (rows + 0.5)).sum() / moved.sum() / moved.shape[0]
    box = picture(acquisition=acquisition).boxes[f"{finding.side} lung"]
    return (x - box[0]) / (box[2] - box[0]), (y - box[1]) / (box[3] - box[1])


@pytest.mark.parametrize("name", ["consolidation", "pneumonia", "granuloma"])
def test_a_finding_that_persists_stays_in_its_place(name):
    finding = Finding(name, "right", "upper", 0.7, "", 31)
    first = place_in_lung(finding, PLAIN)
    for acquisition in (taken("PA", start=40), taken("AP", start=7)):
        again = place_in_lung(finding, acquisition)
        assert again == pytest.approx(first, abs=0.11)
    larger = place_in_lung(dataclasses.replace(finding, severity=0.95), PLAIN)
    assert larger == pytest.approx(first, abs=0.06)


@pytest.mark.parametrize("name", [spec.name for spec in DEVICES])
def test_every_device_shows(name):
    devices = (Device(name, "right", 5),)
    moved = picture(devices=devices).image.astype(float) - NORMAL.image
    assert (moved > 15).sum() >= 15


def test_unknown_names_draw_nothing():
    strange = Finding("hypoxemia", "", "", 0.9, "", 1)
    shown = picture(strange, devices=(Device("hearing aid", "left", 2),))
    assert shown.image.tobytes() == NORMAL.image.tobytes()


def test_views_and_sickness_are_independent_unless_confounded():
    def share(illness, confound):
        views = [
            draw_acquisition(5, i, 0, 0, illness=illness, confound=confound).view
            for i in range(200)
        ]
        return views.count("AP") / 200

    assert share(0.9, 0.0) == share(0.0, 0.0)
    assert share(0.9, 1.0) > 0.9 > 0.2 > share(0.0, 1.0)


def test_limits_are_told():
    with pytest.raises(ValueError, match="image size 8 is outside 32"):
        picture(size=8)
    with pytest.raises(ValueError, match="patient index -1"):
        draw_patient(0, -1)
    with pytest.raises(ValueError, match="confound is 2"):
        draw_acquisition(0, 0, 0, 0, confound=2)
