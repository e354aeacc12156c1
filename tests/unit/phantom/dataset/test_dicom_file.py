"""Simulated DICOMs: MIMIC-CXR's layout, de-identified tags, and JPEGs made of them."""

import csv
import gzip
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from lapse.images import letterbox, read_at, read_image
from lapse.images.dicom import read_dicom
from lapse.phantom.dataset.dicom_file import is_monochrome1, jpeg_image
from lapse.phantom.dataset.writer import SimulateConfig, simulate

pydicom = pytest.importorskip("pydicom")
OPTIONS = {"patients": 4, "seed": 4, "size": 192, "visits": (2, 3)}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The same patients with each kind of images."""
    folder = tmp_path_factory.mktemp("phantom")
    for images in ("jpeg", "both", "dicom"):
        simulate(folder / images, SimulateConfig(**OPTIONS, images=images))
    return folder


def pairs(root):
    """(JPEG, DICOM) of every image."""
    found = []
    for jpeg in sorted((root / "mimic-cxr-jpg").rglob("*.jpg")):
        folder = jpeg.parent.relative_to(root / "mimic-cxr-jpg")
        found.append((jpeg, root / "mimic-cxr" / folder / f"{jpeg.stem}.dcm"))
    assert len(found) > 7
    return found


def shas(root, suffix):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob(f"*{suffix}"))
    }


def test_each_choice_writes_what_it_says(trees):
    jpeg, both, dicom = (trees / name for name in ("jpeg", "both", "dicom"))
    assert not list(jpeg.rglob("*.dcm")) and not list(dicom.rglob("*.jpg"))
    assert set(shas(jpeg, ".jpg")) == set(shas(both, ".jpg"))
    assert shas(both, ".dcm") == shas(dicom, ".dcm")
    for suffix in (".csv.gz", ".csv", ".txt.gz", ".json", ".zip"):
        assert shas(jpeg, suffix) == shas(both, suffix) == shas(dicom, suffix), suffix
    assert shas(jpeg / "mimic-cxr", ".txt") == shas(both / "mimic-cxr", ".txt")
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
    means, largest = [], []
    for jpeg, dicom in pairs(trees / "both"):
        ours, theirs = read_at(jpeg, 96, resize), read_at(dicom, 96, resize)
        assert (ours.height, ours.width) == (theirs.height, theirs.width)
        wrong = np.abs(ours.pixels.astype(int) - theirs.pixels)
        means.append(wrong.mean())
        largest.append(wrong.max())
    print(f"{resize}: mean {max(means):.2f} of 255 at worst, one pixel {max(largest)}")
    assert max(means) <= 2.55 and max(largest) <= 25


def test_without_the_inversion_they_would_not(trees):
    """MONOCHROME1 read as MONOCHROME2 is the negative: the agreement above has teeth."""
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
        made = jpeg_image(values)
        with Image.open(jpeg) as opened:
            found = np.asarray(opened).astype(int)
        assert np.abs(found - made).mean() < 2.55
        assert made.min() == 0 and made.max() == 255
        counts = np.bincount(made.reshape(-1), minlength=256)
        shares = (counts.cumsum() - counts[0]) / (made.size - counts[0])
        levels = np.unique(made)  # equalised: each grey is the share of pixels up to it
        assert np.abs(shares[levels] - levels / 255).max() < 0.01
        # inverting before or after the scaling rounds ties the other way: one level, and ties
        # are a hundredth of the pixels where the range of values happens to be even
        read = read_dicom(path, path.read_bytes()).astype(int)
        assert np.abs(read - made).max() <= 1 and (read != made).mean() < 1e-2


def test_bytes_depend_on_the_seed_alone(trees, tmp_path):
    config = SimulateConfig(**OPTIONS, images="both", processes=2)
    simulate(tmp_path / "raw", config)
    for suffix in (".dcm", ".jpg"):
        assert shas(tmp_path / "raw", suffix) == shas(trees / "both", suffix)


def test_one_in_three_is_stored_inverted():
    kinds = [is_monochrome1(0, patient, visit) for patient in range(100) for visit in range(3)]
    assert 70 < sum(kinds) < 130


def test_an_unknown_kind_of_images_is_refused():
    with pytest.raises(ValueError, match="no images 'tiff'"):
        SimulateConfig(**OPTIONS, images="tiff")


def test_letterboxed_sides_are_black(trees):
    for _, path in pairs(trees / "both"):
        stored = read_at(path, 64, "letterbox")
        np.testing.assert_array_equal(
            stored.pixels, letterbox(read_dicom(path, path.read_bytes()), 64)
        )


def test_the_command_line_takes_the_choice(tmp_path):
    from typer.testing import CliRunner

    from lapse.cli.main import app

    options = ["--patients", "3", "--size", "64", "--visits", "1-1", "--images", "dicom"]
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "raw"), *options])
    assert done.exit_code == 0, done.output
    assert len(list(tmp_path.rglob("*.dcm"))) == 3 and not list(tmp_path.rglob("*.jpg"))
