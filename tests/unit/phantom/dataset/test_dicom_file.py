"""Simulated DICOM files: MIMIC-CXR layout, de-identified tags, and JPEGs converted from them."""

import csv
import gzip
import io

import numpy as np
import pytest
from PIL import Image

from file_hashes import file_hashes
from lapse.images import letterbox, read_at, read_image
from lapse.images.dicom import read_dicom
from lapse.phantom.dataset.dicom_file import is_monochrome1, jpeg_image
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
        first, second = read_at(jpeg, 96, resize), read_at(dicom, 96, resize)
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
            negative = read_dicom(path, stream.getvalue()).astype(int)
            assert np.abs(negative - np.rint(read_image(jpeg) * 255)).mean() > 60


def test_the_jpeg_is_min_max_scaled_and_fully_equalised(trees):
    for jpeg, path in pairs(trees / "both"):
        file = pydicom.dcmread(path)
        values = file.pixel_array.astype(np.uint16)
        if file.PhotometricInterpretation == "MONOCHROME1":
            values = 4095 - values
        expected = jpeg_image(values)
        with Image.open(jpeg) as opened:
            pixels = np.asarray(opened).astype(int)
        assert np.abs(pixels - expected).mean() < 2.55
        assert expected.min() == 0 and expected.max() == 255
        counts = np.bincount(expected.reshape(-1), minlength=256)
        cumulative = (counts.cumsum() - counts[0]) / (expected.size - counts[0])
        levels = np.unique(expected)  # equalised: a level is the fraction of pixels up to it
        assert np.abs(cumulative[levels] - levels / 255).max() < 0.01
        # Inversion before or after scaling rounds ties differently, by one level. Ties are up to
        # a hundredth of the pixels.
        read = read_dicom(path, path.read_bytes()).astype(int)
        assert np.abs(read - expected).max() <= 1 and (read != expected).mean() < 1e-2


def test_a_third_is_stored_inverted():
    inverted = [is_monochrome1(0, patient, visit) for patient in range(100) for visit in range(3)]
    assert 70 < sum(inverted) < 130


def test_the_borders_of_a_letterbox_are_black(trees):
    for _, path in pairs(trees / "both"):
        stored = read_at(path, 64, "letterbox")
        np.testing.assert_array_equal(
            stored.pixels, letterbox(read_dicom(path, path.read_bytes()), 64)
        )
