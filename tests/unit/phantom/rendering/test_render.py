"""Rendering: reproducible bytes, sides, sizes and boxes; every finding is visible in its region."""

from dataclasses import replace

import numpy as np
import pytest

from exposures import visit_with
from lapse.core.annotation_names import FURTHER_REGIONS, REGIONS
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Device, Finding
from lapse.phantom.rendering.render import render

SIZE = 128
PERSON = draw_patient(0, 7)


def first_acquisition(view="PA", *, is_supine=False, start=0):
    """The first acquisition of this view and posture, without a label."""
    for visit in range(start, start + 200):
        acquisition = draw_acquisition(1, 7, visit, 0, nuisance=0.4)
        if (acquisition.view, acquisition.is_supine) == (view, is_supine):
            return replace(acquisition, label="")
    raise AssertionError("no such acquisition")


STANDARD = first_acquisition()


def rendered(*findings, acquisition=STANDARD, size=SIZE, devices=()):
    return render(PERSON, visit_with(*findings, devices=devices), acquisition, size)


NORMAL = rendered()


def change(*findings, acquisition=STANDARD):
    """The grey-level change of each pixel by the findings."""
    without = rendered(acquisition=acquisition).image.astype(float)
    return rendered(*findings, acquisition=acquisition).image - without


def box_mask(box, shape, margin=0.0):
    """The pixels of a box."""
    height, width = shape
    mask = np.zeros(shape, dtype=bool)
    left, right = max(0.0, box[0] - margin) * width, min(1.0, box[2] + margin) * width
    top, bottom = max(0.0, box[1] - margin) * height, min(1.0, box[3] + margin) * height
    mask[round(top) : round(bottom), round(left) : round(right)] = True
    return mask


def test_equal_inputs_give_equal_bytes_and_boxes():
    findings = (
        Finding("pneumonia", "left", "lower", 0.5, "", 3),
        Finding("edema", "", "", 0.4, "", 9),
    )
    first, second = rendered(*findings), rendered(*findings)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.boxes == second.boxes
    assert draw_patient(3, 5) == draw_patient(3, 5) != draw_patient(3, 6)
    acquisition = draw_acquisition(3, 5, 1, 0)
    assert acquisition == draw_acquisition(3, 5, 1, 0) != draw_acquisition(3, 5, 2, 0)
    other = replace(STANDARD, seed=STANDARD.seed + 1)
    assert rendered(acquisition=other).image.tobytes() != NORMAL.image.tobytes()


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (128, 128)), (0.82, (128, 105)), (1.2, (107, 128))]
)
def test_the_longest_side_is_the_size(aspect, shape):
    image = rendered(acquisition=replace(STANDARD, aspect=aspect)).image
    assert image.shape == shape
    assert image.dtype == np.uint8


def test_bones_are_white_and_lungs_dark():
    image, boxes = NORMAL.image, NORMAL.boxes
    spine = box_mask(boxes["spine"], image.shape)
    lung = box_mask(boxes["left mid lung zone"], image.shape) & ~spine
    assert np.median(image[spine]) > np.median(image[lung]) + 60


@pytest.mark.parametrize("index", range(6))
def test_boxes_are_in_the_image_and_have_area(index):
    person = draw_patient(2, index)
    acquisition = draw_acquisition(2, index, 0, 0, nuisance=1.5)
    boxes = render(person, visit_with(), acquisition, 64).boxes
    names = set(REGIONS) | set(FURTHER_REGIONS)
    assert len(names) == 36
    assert set(boxes) <= names
    assert len(boxes) >= 28
    for box in boxes.values():
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


def test_boxes_move_with_the_field_and_a_region_outside_of_it_has_none():
    shifted = replace(STANDARD, shift=(STANDARD.shift[0] + 30.0, STANDARD.shift[1]))
    shift = 30.0 / (STANDARD.field * max(PERSON.width, PERSON.height))
    before, after = (item.boxes["carina"] for item in (NORMAL, rendered(acquisition=shifted)))
    assert before[0] - after[0] == pytest.approx(shift, rel=0.25)
    low = replace(STANDARD, shift=(0.0, -230.0))
    assert "right apical zone" not in rendered(acquisition=low).boxes


def test_the_heart_is_larger_in_ap_than_in_pa_images():
    def ratio(source, view):
        camera = replace(STANDARD, source_distance=source, view=view, warp=(0.0,) * 20)
        boxes = rendered(acquisition=camera).boxes
        heart = boxes["cardiac silhouette"]
        chest = boxes["left lung"][2] - boxes["right lung"][0]
        return (heart[2] - heart[0]) / chest

    pa, ap = ratio(1800.0, "PA"), ratio(1050.0, "AP")
    assert 0.36 < pa < 0.56
    assert ap > 1.02 * pa


@pytest.mark.parametrize("is_supine", [False, True])
def test_a_right_effusion_whitens_the_left_of_the_image(is_supine):
    acquisition = first_acquisition("AP", is_supine=True) if is_supine else STANDARD
    moved = change(
        Finding("pleural effusion", "right", "basilar", 0.5, "", 4), acquisition=acquisition
    )
    middle = moved.shape[1] // 2
    boxes = rendered(acquisition=acquisition).boxes
    lower = box_mask(boxes["right lower lung zone"], moved.shape)
    assert moved[lower].mean() > 15
    assert np.abs(moved[:, :middle]).mean() > 2 * np.abs(moved[:, middle:]).mean()


def test_a_pneumothorax_darkens_the_apex():
    moved = change(Finding("pneumothorax", "left", "apical", 0.5, "", 4))
    apex = box_mask(NORMAL.boxes["left apical zone"], moved.shape)
    assert moved[apex].mean() < -3


LOCALIZED = [
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
    ("hernia", "", "", "", "cardiac silhouette"),
    ("tortuosity of the thoracic aorta", "", "", "", "mediastinum"),
    ("gastric distention", "left", "", "", "left upper abdomen"),
]


@pytest.mark.parametrize(("name", "side", "zone", "kind", "region"), LOCALIZED)
def test_a_finding_is_visible_in_its_region(name, side, zone, kind, region):
    finding = Finding(name, side, zone, 0.8, kind, 12)
    moved = np.abs(change(finding))
    box = rendered(finding).boxes[region]
    inside = box_mask(box, moved.shape, 0.03)
    assert (moved[inside] > 12).sum() >= 12
    least = 1.8 if name == "pneumothorax" else 2.5  # it changes the equalised histogram
    assert moved[inside].mean() > least * moved[~inside].mean()
    weak = np.abs(change(replace(finding, severity=0.25)))
    assert moved[inside].mean() > weak[inside].mean() > 0


DIFFUSE = ("edema", "vascular congestion", "hilar congestion", "emphysema")


@pytest.mark.parametrize("name", DIFFUSE)
def test_a_diffuse_finding_is_visible_in_both_lungs(name):
    moved = np.abs(change(Finding(name, "bilateral", "", 0.8, "", 12)))
    for side in ("right", "left"):
        lung = box_mask(NORMAL.boxes[f"{side} lung"], moved.shape)
        assert moved[lung].mean() > 1.5
        assert (moved[lung] > 12).sum() >= 40


def test_scoliosis_widens_the_box_of_the_spine():
    bent = rendered(Finding("scoliosis", "", "", 0.8, "", 3)).boxes["spine"]
    straight = NORMAL.boxes["spine"]
    assert bent[2] - bent[0] > 1.25 * (straight[2] - straight[0])


def position_in_lung(finding, acquisition):
    """The centre of the change, in fractions of the box of the lung."""
    moved = np.abs(change(finding, acquisition=acquisition))
    moved = np.where(moved > 0.4 * moved.max(), moved, 0.0)
    rows, columns = np.indices(moved.shape)
    x = (moved * (columns + 0.5)).sum() / moved.sum() / moved.shape[1]
    y = (moved * (rows + 0.5)).sum() / moved.sum() / moved.shape[0]
    box = rendered(acquisition=acquisition).boxes[f"{finding.side} lung"]
    return (x - box[0]) / (box[2] - box[0]), (y - box[1]) / (box[3] - box[1])


@pytest.mark.parametrize("name", ["consolidation", "pneumonia", "granuloma"])
def test_a_persistent_finding_keeps_its_position(name):
    finding = Finding(name, "right", "upper", 0.7, "", 31)
    first = position_in_lung(finding, STANDARD)
    for acquisition in (first_acquisition("PA", start=40), first_acquisition("AP", start=7)):
        assert position_in_lung(finding, acquisition) == pytest.approx(first, abs=0.11)
    larger = position_in_lung(replace(finding, severity=0.95), STANDARD)
    assert larger == pytest.approx(first, abs=0.06)


@pytest.mark.parametrize("name", [spec.name for spec in DEVICES])
def test_every_device_is_visible(name):
    devices = (Device(name, "right", 5),)
    moved = rendered(devices=devices).image.astype(float) - NORMAL.image
    assert (moved > 15).sum() >= 15


def test_unknown_findings_and_devices_are_ignored():
    unknown = Finding("hypoxemia", "", "", 0.9, "", 1)
    image = rendered(unknown, devices=(Device("hearing aid", "left", 2),)).image
    assert image.tobytes() == NORMAL.image.tobytes()


def test_invalid_arguments_are_rejected():
    with pytest.raises(ValueError, match="image size 8 is outside 32"):
        rendered(size=8)
    with pytest.raises(ValueError, match="patient index -1"):
        draw_patient(0, -1)
    with pytest.raises(ValueError, match="confound is 2"):
        draw_acquisition(0, 0, 0, 0, confound=2)
