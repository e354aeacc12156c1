import io
import time

import numpy as np
import pytest
from PIL import Image

import small_files as small
from lapse.images import read_at
from lapse.images.processing import ImageProcessing
from lapse.serve.decoder import SOP_CLASSES, decode

VALUES = {"size": 32, "resize": "letterbox", "intensity": "mimic", "shown": 40}


def refused(data):
    message = decode(data, VALUES)
    assert not message.parts
    return message.values["refused"]


@pytest.mark.parametrize("make", [small.png, small.jpeg, small.dicom])
def test_the_model_receives_the_pixels_of_the_command_line(make, tmp_path):
    path = tmp_path / "film"
    path.write_bytes(make())
    message = decode(make(), VALUES)
    stored = read_at(path, 32, ImageProcessing("letterbox"))
    assert message.parts[0] == stored.pixels.tobytes()
    assert (message.values["height"], message.values["width"]) == (48, 64)


def test_the_picture_is_grey_upright_and_small():
    shown = Image.open(io.BytesIO(decode(small.dicom(), VALUES).parts[1]))
    assert (shown.mode, shown.size) == ("L", (40, 30))
    first = small.dicom(PhotometricInterpretation="MONOCHROME1")
    inverted = np.asarray(Image.open(io.BytesIO(decode(first, VALUES).parts[1])), np.int64)
    assert abs(255 - np.asarray(shown, np.int64) - inverted).mean() < 2


def test_facts_are_those_of_the_header():
    facts = decode(small.dicom(PatientID="P1", StudyDate="20200102"), VALUES).values["facts"]
    assert facts["patient"] == "P1" and facts["dates"]["StudyDate"].startswith("20200102")


@pytest.mark.parametrize(
    "kind", ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.104.1", None]
)
def test_a_dicom_of_another_class_is_refused(kind):
    assert refused(small.dicom(SOPClassUID=kind)) == "sop-class"
    assert all(name.startswith("1.2.840.10008.5.1.4.1.1.") for name in SOP_CLASSES)


@pytest.mark.parametrize("data", [bytes(4 << 20), b"\0" * 128 + b"DICM" + bytes(4 << 20)])
def test_a_file_of_zeros_is_not_parsed_element_by_element(data):
    start = time.process_time()
    small_data = data[: len(data) // 16]
    refused(small_data)
    first = time.process_time() - start
    refused(data)
    assert time.process_time() - start - first < 16 * max(first, 0.05)


def test_a_refusal_has_a_code_and_no_text_of_the_file():
    assert refused(b"") == "unknown-format"
    assert refused(b"CANARY" * 10) == "unknown-format"
    assert refused(small.png()[:-200]) in {"truncated", "damaged"}
    assert refused(small.png(np.zeros((40, 40)))) == "blank"
    assert set(decode(b"CANARY", VALUES).values) == {"refused"}
