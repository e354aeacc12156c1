"""Simulated DICOM files: MIMIC-CXR layout, de-identified tags, and JPEGs converted from them."""

import csv
import gzip
import io
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import recipe
from file_hashes import file_hashes
from lapse.images import ImageProcessing, read_at, read_image
from lapse.images.dicom import read_dicom
from lapse.phantom.dataset.dicom_file import (
    DISPLAYS,
    DicomForm,
    draw_form,
    jpeg_image,
    write_dicom,
)
from lapse.phantom.dataset.writer import SimulateConfig, simulate

pydicom = pytest.importorskip("pydicom")
OPTIONS = {"patients": 4, "seed": 4, "size": 192, "visits": (2, 3)}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The same patients with images in each format."""
    folder = tmp_path_factory.mktemp("phantom")
    for images in ("jpeg", "both", "dicom"):
        simulate(folder / images, SimulateConfig(**OPTIONS, images=images))
    return folder


def pairs(root):
    """(JPEG, DICOM) of every image."""
    files = []
    for jpeg in sorted((root / "mimic-cxr-jpg").rglob("*.jpg")):
        folder = jpeg.parent.relative_to(root / "mimic-cxr-jpg")
        files.append((jpeg, root / "mimic-cxr" / folder / f"{jpeg.stem}.dcm"))
    assert len(files) > 7
    return files


def test_the_image_format_selects_the_image_files_only(trees):
    jpeg, both, dicom = (trees / name for name in ("jpeg", "both", "dicom"))
    assert not list(jpeg.rglob("*.dcm")) and not list(dicom.rglob("*.jpg"))
    assert set(file_hashes(jpeg, ".jpg")) == set(file_hashes(both, ".jpg"))
    assert file_hashes(both, ".dcm") == file_hashes(dicom, ".dcm")
    for suffix in (".csv.gz", ".csv", ".txt.gz", ".json", ".zip"):
        tables = [file_hashes(root, suffix) for root in (jpeg, both, dicom)]
        assert tables[0] == tables[1] == tables[2], suffix
    assert file_hashes(jpeg / "mimic-cxr", ".txt") == file_hashes(both / "mimic-cxr", ".txt")
    assert "images: both" in (both / "SIMULATED.txt").read_text()
    assert "images" not in (jpeg / "SIMULATED.txt").read_text().partition("seed")[2]


def test_the_layout_and_the_tags_are_those_of_mimic_cxr(trees):
    both = trees / "both"
    table = gzip.decompress(
        (both / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz").read_bytes()
    )
    rows = {row["dicom_id"]: row for row in csv.DictReader(io.StringIO(table.decode()))}
    uids, kinds = set(), set()
    for _, path in pairs(both):
        subject, study = path.parts[-3], path.parts[-2]
        file, row = pydicom.dcmread(path), rows[path.stem]
        assert path.parts[-5:-3] == ("files", f"p{row['subject_id'][:2]}")
        assert (subject, study) == (f"p{row['subject_id']}", f"s{row['study_id']}")
        assert (path.parents[1] / f"{study}.txt").is_file()
        assert (file.PatientID, file.StudyID) == (row["subject_id"], row["study_id"])
        assert (str(file.Rows), str(file.Columns)) == (row["Rows"], row["Columns"])
        assert (file.StudyDate, float(file.StudyTime)) == (
            row["StudyDate"],
            float(row["StudyTime"]),
        )
        assert file.ViewPosition == row["ViewPosition"] and str(file.PatientName) == ""
        assert (file.BitsAllocated, file.BitsStored, file.HighBit) == (16, 12, 11)
        assert file.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert file.pixel_array.max() <= 4095 and len(np.unique(file.pixel_array)) > 500
        uids.add(file.SOPInstanceUID)
        kinds.add(file.PhotometricInterpretation)
    assert len(uids) == len(rows) and kinds == {"MONOCHROME1", "MONOCHROME2"}


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
def test_jpeg_and_dicom_of_one_image_agree(trees, resize):
    means, maxima = [], []
    for jpeg, dicom in pairs(trees / "both"):
        processing = ImageProcessing(resize)
        first, second = read_at(jpeg, 96, processing), read_at(dicom, 96, processing)
        assert (first.height, first.width) == (second.height, second.width)
        errors = np.abs(first.pixels.astype(int) - second.pixels)
        means.append(errors.mean())
        maxima.append(errors.max())
    assert max(means) <= 2.55 and max(maxima) <= 25


def test_without_the_inversion_of_monochrome1_they_differ(trees):
    """Negative control: MONOCHROME1 read as MONOCHROME2 is the negative image."""
    for jpeg, path in pairs(trees / "both"):
        file = pydicom.dcmread(path)
        if file.PhotometricInterpretation == "MONOCHROME1":
            file.PhotometricInterpretation = "MONOCHROME2"
            stream = io.BytesIO()
            file.save_as(stream)
            negative = read_dicom(path, stream.getvalue()).grey.astype(int)
            assert np.abs(negative - np.rint(read_image(jpeg) * 255)).mean() > 60


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("is_inverted", [False, True])
def test_the_recipe_on_the_dicom_gives_the_jpeg(tmp_path, trees, display, is_inverted):
    """Exactly, before the compression of the JPEG; a display with a window gives other pixels."""
    record = SimpleNamespace(dicom_id="a", taken_at=datetime(2180, 5, 6), subject_id=1, study_id=2,
                             view="PA")  # fmt: skip
    values = pydicom.dcmread(pairs(trees / "both")[0][1]).pixel_array
    path = tmp_path / "a.dcm"
    write_dicom(path, values, record, DicomForm(is_inverted, display))
    expected = jpeg_image(values).astype(int)
    np.testing.assert_array_equal(recipe.mimic_of_file(path.read_bytes()), expected)
    np.testing.assert_array_equal(np.rint(read_image(path) * 255), expected)
    shown = np.rint(read_image(path, "display") * 255)
    assert (np.abs(shown - expected).mean() > 0.3) == (display != "full")


def test_the_jpeg_is_the_compressed_image_of_the_recipe(trees):
    for jpeg, path in pairs(trees / "both"):
        expected = recipe.mimic_of_file(path.read_bytes()).astype(int)
        with Image.open(jpeg) as opened:
            assert np.abs(np.asarray(opened).astype(int) - expected).mean() < 2.55
        assert expected.min() == 0 and expected.max() == 255


def test_the_forms_of_the_files_vary():
    forms = [draw_form(0, patient, visit) for patient in range(100) for visit in range(3)]
    assert 70 < sum(form.is_inverted for form in forms) < 130
    assert all(40 < sum(form.display == name for form in forms) < 80 for name in DISPLAYS)


def test_the_borders_of_a_letterbox_are_black(trees):
    for _, path in pairs(trees / "both"):
        stored = read_at(path, 64, ImageProcessing("letterbox"))
        full = np.rint(read_image(path) * 255).astype(np.uint8)
        np.testing.assert_array_equal(stored.pixels, recipe.letterbox(full, 64))
