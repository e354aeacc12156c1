"""The structured report, written and read back through highdicom."""

import logging
import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

from dicom_pairs import BOXES, EARLIER, LATER, ROWS, compared, write_films
from lapse.core.tokenizer import box_text
from lapse.core.types import Box
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.pretrained.image_input import ModelImage
from lapse.inference.structured_report.content import polygon
from lapse.inference.structured_report.document import (
    check_dicom_films,
    headers_of,
    read_header,
    structured_report,
    write_report,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def path(folder):
    """The file of a report."""
    films = write_films(folder)
    headers = headers_of(films)
    write_report(folder / "sr.dcm", structured_report(compared(), headers))
    return folder / "sr.dcm"


@pytest.fixture(scope="module")
def report(path):
    return highdicom.sr.srread(path)


def box_of(group):
    """The box of a measurement group in fractions, and the film that it is on."""
    points = group.roi.value / ROWS  # the films are square
    low, high = points.min(axis=0), points.max(axis=0)
    assert np.array_equal(points[0], points[-1]) and len(points) == 5
    source = group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return (*low, *high), source


def test_boxes_come_back_on_their_films(report):
    groups = report.content.get_planar_roi_measurement_groups()
    uids = {"reference": EARLIER["SOPInstanceUID"], "main": LATER["SOPInstanceUID"]}
    expected = {
        (finding, uids[role]): (box.x_min, box.y_min, box.x_max, box.y_max)
        for role, boxes in BOXES.items()
        for finding, box in boxes.items()
        if box is not None
    }
    read = {}
    for group in groups:
        box, source = box_of(group)
        read[group.tracking_identifier, source] = box
    assert read.keys() == expected.keys()
    for key, box in read.items():
        assert box == pytest.approx(expected[key], abs=1e-6)
    print(f"boxes equal {len(read)}/{len(expected)}")


def test_a_finding_of_both_films_has_one_tracking_uid(report):
    groups = report.content.get_planar_roi_measurement_groups()
    groups += report.content.get_image_measurement_groups()
    by_finding = {}
    for group in groups:
        by_finding.setdefault(group.tracking_identifier, []).append(group.tracking_uid)
    assert {name: len(uids) for name, uids in by_finding.items()} == {
        "edema": 1, "pleural effusion": 2, "atelectasis": 1,
    }  # fmt: skip
    assert len(set(by_finding["pleural effusion"])) == 1
    assert len({uid for uids in by_finding.values() for uid in uids}) == 3


def test_findings_have_codes_sites_changes_levels_and_certainty(report):
    groups = report.content.get_planar_roi_measurement_groups()
    edema, before, after = groups
    assert edema.finding_type.value == "19242006"
    assert edema.finding_sites[0].value.meaning == "right lower lung zone"
    assert before.finding_sites[0].laterality.meaning == "Left"
    evaluations = [
        {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
        for group in groups
    ]
    assert [item.get("Level of the finding in this image") for item in evaluations] == [
        None, "small", "moderate",
    ]  # fmt: skip
    assert evaluations[0]["Change between both images"] == "In the later image only"
    values = {m.name.meaning: m.value for m in edema.get_measurements()}
    assert values["Certainty of Finding"] == 81.0
    assert "Certainty of Finding" not in {m.name.meaning for m in after.get_measurements()}


def test_texts_state_use_model_training_data_and_checks(report):
    container = report.ContentSequence[-1]
    status, *items = container.ContentSequence
    assert status.ConceptCodeSequence[0].CodeMeaning == "changed"
    texts = {}
    for item in items:
        texts.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(item.TextValue)
    assert texts["Intended use"] == [RESEARCH_USE]
    assert texts["Training data of the model"] == ["drawings"]
    assert texts["Result of an input check"] == ["warning: not frontal"]
    assert texts["Fact of the model"] == ["model: tiny <1>"]
    (unsure,) = texts["Change that is unsure and not stated"]
    assert "pneumothorax" in unsure and "weak agreement" in unsure
    assert "%" not in str(texts)


def test_patient_and_study_are_those_of_the_later_film(report):
    assert report.PatientID == LATER["PatientID"] and report.PatientName == "DOE^JANE"
    assert report.StudyInstanceUID == LATER["StudyInstanceUID"]
    assert report.AccessionNumber == LATER["AccessionNumber"]
    assert report.SeriesInstanceUID not in {
        EARLIER["SeriesInstanceUID"],
        LATER["SeriesInstanceUID"],
    }
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "RESEARCH USE ONLY" in report.SeriesDescription
    (other,) = report.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == EARLIER["StudyInstanceUID"]
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99LAPSE" and scheme.CodingSchemeName


def test_dciodvfy_accepts_the_report(path):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    done = subprocess.run([program, path], capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert "ComprehensiveSR" in lines and done.returncode == 0
    assert [line for line in lines if line.startswith(("Error", "Abort"))] == []


def test_no_log_message_names_the_patient_or_the_films(folder, caplog):
    caplog.set_level(logging.DEBUG)
    structured_report(compared(), headers_of(write_films(folder)))
    assert caplog.text == ""
    assert logging.getLogger("highdicom").level == logging.NOTSET


def test_the_tracking_uids_are_the_same_again_and_the_report_is_new(folder, report):
    films = write_films(folder)
    headers = headers_of(films)
    again = structured_report(compared(), headers)
    assert again.SOPInstanceUID != report.SOPInstanceUID

    def uids(document):
        content = highdicom.sr.ComprehensiveSR.from_dataset(document).content
        return [group.tracking_uid for group in content.get_planar_roi_measurement_groups()]

    assert uids(again) == uids(report)


def test_an_answer_without_a_change_is_a_report_of_both_films(folder):
    films = write_films(folder)
    headers = headers_of(films)
    base = compared()
    answer = replace(base.answer, changes=(), text="nothing has changed.", status="unchanged")
    report = structured_report(replace(base, answer=answer, boxes={}), headers)
    content = highdicom.sr.ComprehensiveSR.from_dataset(report).content
    (group,) = content.get_image_measurement_groups()
    assert len(group.source_images) == 2
    assert group.get_qualitative_evaluations()[0].value.meaning == "unchanged"


def test_a_box_of_a_wide_film_is_in_its_pixels():
    corners = polygon(Box(0.25, 0.5, 0.75, 1.0), rows=100, columns=2000)
    assert corners.tolist() == [[500, 50], [1500, 50], [1500, 100], [500, 100], [500, 50]]


@pytest.mark.parametrize(
    ("resize", "square"),
    [("squash", Box(0.5, 0.25, 1.0, 0.5)), ("letterbox", Box(0.5, 0.25, 0.75, 0.5))],
)
def test_a_box_of_the_model_is_in_pixels_of_the_original_film(resize, square):
    size = 64  # of the model; a letterboxed film of 100 x 50 is in the middle half of the square
    image = ModelImage(np.zeros((size, size), np.uint8), height=100, width=50, resize=resize)
    box = image.parse_box(box_text(square, size))
    corners = polygon(box, rows=100, columns=50)
    assert corners[[0, 2]].tolist() == pytest.approx(np.array([[25, 25], [50, 50]]), abs=2)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"SeriesInstanceUID": ""}, "the main film has no valid SeriesInstanceUID"),
        ({"StudyInstanceUID": "1.2.x"}, "the main film has no valid StudyInstanceUID"),
        ({"PatientID": "OTHER"}, "different patient ids"),
        ({"StudyTime": "half past"}, "cannot be made from the DICOM headers of these films"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_headers_that_cannot_be_referred_to_are_refused(tmp_path, tags, message):
    films = write_films(tmp_path, later=LATER | tags)
    headers = headers_of(films)
    with pytest.raises(ValueError, match=message) as error:
        structured_report(compared(), headers)
    assert not any(str(value) in str(error.value) for value in ("A-4711", "DOE", "OTHER"))


def test_other_films_than_the_compared_ones_are_refused(tmp_path):
    films = write_films(tmp_path)
    headers = headers_of(films)
    headers["main"].Rows = 9
    with pytest.raises(ValueError, match="give the films that were compared"):
        structured_report(compared(), headers)


def test_elements_that_a_header_may_lack_are_empty_and_the_rest_is_utf8(tmp_path):
    bare = {name: LATER[name] for name in LATER if name.endswith("UID") or name == "Modality"}
    earlier = {name: EARLIER[name] for name in bare}
    bare["PatientIdentityRemoved"] = "YES"  # without the method, which the standard demands
    films = write_films(tmp_path, earlier, bare)
    headers = headers_of(films)
    base = compared()
    answer = replace(base.answer, trained_on="Röntgen 東京")
    write_report(tmp_path / "sr.dcm", structured_report(replace(base, answer=answer), headers))
    report = dcmread(tmp_path / "sr.dcm")
    assert report.DeidentificationMethod == "not stated in the image"
    assert report.PatientID == "" and report.AccessionNumber == ""
    texts = [item.get("TextValue") for item in report.ContentSequence[-1].ContentSequence]
    assert "Röntgen 東京" in texts


def test_files_that_are_not_dicom_are_refused(tmp_path):
    (tmp_path / "film.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"film\.png is not a DICOM: a structured report"):
        check_dicom_films([tmp_path / "film.png"])
    meta = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    damaged = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"not an item"
    (tmp_path / "film.dcm").write_bytes(bytes(128) + b"DICM" + meta + damaged)
    with pytest.raises(ValueError, match="its header cannot be read"):
        read_header(tmp_path / "film.dcm")
