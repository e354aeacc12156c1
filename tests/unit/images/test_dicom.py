"""DICOM: every transfer syntax, sign, depth, rescale, window and table, and every error code."""

import io
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

import recipe
from lapse.images import (
    ImageError,
    ImageProcessing,
    read_at,
    read_image,
)
from lapse.images import dicom_frames as frames
from lapse.images.dicom import read_dicom
from lapse.images.resize import resize
from small_files import COMPRESSED, NATIVE, Syntax, dicom, in_syntax, picture, rewritten

UIDS = {
    "jpeg-baseline": "1.2.840.10008.1.2.4.50",
    "jpeg-extended": "1.2.840.10008.1.2.4.51",
    "near-lossless": "1.2.840.10008.1.2.4.81",
    "lossy-2000": "1.2.840.10008.1.2.4.91",
}
LOSSLESS = ["jpeg-lossless-57", "jpeg-lossless-70", "jpeg-ls", "jpeg-2000", "rle", *NATIVE]


def reference(values, is_inverted=False):
    """The recipe of MIMIC-CXR-JPG."""
    return recipe.mimic(values, is_inverted=is_inverted)


def processed(path, data, intensity="mimic"):
    path.write_bytes(data)
    return np.rint(read_image(path, intensity) * 255).astype(np.uint8)


def displayed(path, data):
    return processed(path, data, "display")


def error_of(path, data):
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{caught.value.code}: ") and str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_syntaxes_give_the_identical_pixels(tmp_path, syntax, bits):
    path = tmp_path / "a.dcm"
    image = picture(bits=bits)
    np.testing.assert_array_equal(processed(path, in_syntax(syntax, bits)), reference(image))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_signed_pixels(tmp_path, syntax, bits):
    image = picture(bits=bits) - 2 ** (bits - 1)
    data = dicom(image, bits=bits, is_signed=True)
    data = rewritten(data, NATIVE[syntax] if syntax in NATIVE else COMPRESSED[syntax][0])
    np.testing.assert_array_equal(processed(tmp_path / "a.dcm", data), reference(image))


def test_lossy_syntaxes_stay_within_their_tolerance(tmp_path):
    for name, bits in (("jpeg-baseline", 8), ("jpeg-extended", 12)):
        tags = frames.PixelTags(UIDS[name], 48, 64, 8 if bits == 8 else 16, bits, bits - 1, False)
        values = frames.read_stored_values(tmp_path, tags, _parsed(in_syntax(name, bits)))
        difference = np.abs(values.astype(int) - picture(bits=bits))
        assert 0 < difference.max() <= 4, (name, difference.max())


def test_a_12_bit_stream_that_calls_itself_16_is_refused(tmp_path):
    data = rewritten(dicom(), Syntax.JPEGExtendedProcess2_4)
    assert "JPEG process 1 with 16 bits" in str(error_of(tmp_path / "a.dcm", data))


def test_near_lossless_jpeg_ls_within_its_tolerance(tmp_path):
    image = picture()
    data = rewritten(dicom(image), Syntax.JPEGLSNearLossless, error=3)
    tags = frames.PixelTags(UIDS["near-lossless"], *image.shape, 16, 12, 11, False)
    actual = frames.read_stored_values(tmp_path / "a.dcm", tags, _parsed(data))
    difference = np.abs(actual.astype(int) - image)
    assert 0 < difference.max() <= 3


def test_lossy_jpeg_2000(tmp_path):
    image = picture(bits=8)
    stream = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(
        stream, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[4],
        no_jp2=True,
    )  # fmt: skip
    data = dicom(image, bits=8, syntax=UIDS["lossy-2000"], frame=stream.getvalue())
    tags = frames.PixelTags(UIDS["lossy-2000"], *image.shape, 8, 8, 7, False)
    difference = np.abs(
        frames.read_stored_values(tmp_path / "a", tags, _parsed(data)).astype(int) - image
    )
    assert 0 < difference.max() <= 24 and difference.mean() < 3


def test_bits_above_the_stored_bits_are_ignored(tmp_path):
    image = picture(bits=10)
    overlaid = image | (np.indices(image.shape).sum(0) % 2 << 12)
    actual = processed(tmp_path / "a.dcm", dicom(overlaid, BitsStored=10, HighBit=9))
    np.testing.assert_array_equal(actual, reference(image))
    actual = processed(tmp_path / "b.dcm", dicom(image << 4, BitsStored=10, HighBit=13))
    np.testing.assert_array_equal(actual, reference(image))


def test_monochrome1_rescale_and_linear_window(tmp_path):
    image, path = picture(), tmp_path / "a.dcm"
    inverted = dicom(image, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(processed(path, inverted), reference(image, is_inverted=True))
    np.testing.assert_array_equal(displayed(path, inverted), reference(image, is_inverted=True))
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    np.testing.assert_array_equal(displayed(path, dicom(image, **tags)), reference(image))
    window = {"WindowCenter": 3000, "WindowWidth": 2001}
    # from 1999.5 to 3999.5 of 2 x - 1000
    shown = np.clip(2.0 * image - 1000, 1999.5, 3999.5)
    np.testing.assert_array_equal(displayed(path, dicom(image, **tags, **window)), reference(shown))
    np.testing.assert_array_equal(processed(path, dicom(image, **tags, **window)), reference(image))


def test_windows_exact_sigmoid_and_several(tmp_path):
    image, path = picture(), tmp_path / "a.dcm"
    window = {"WindowCenter": 2000, "WindowWidth": 1021}
    exact = displayed(path, dicom(image, **window, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_array_equal(exact, reference(np.clip(image, 1489.5, 2510.5)))
    step = displayed(path, dicom(image, WindowCenter=2000, WindowWidth=1))
    np.testing.assert_array_equal(step > 0, image >= 2000)
    slope = {"RescaleSlope": -1, "RescaleIntercept": 4000}
    turned = displayed(path, dicom(image, **window, **slope, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_array_equal(turned, reference(-np.clip(image, 1489.5, 2510.5)))
    soft = displayed(path, dicom(image, **window, VOILUTFunction="SIGMOID"))
    curve = reference(1 / (1 + np.exp(-4 * (image - 2000) / 1021)))
    assert (soft != curve).mean() < 0.01  # floats at the border of two levels
    several = {"WindowCenter": [2000.5, 700], "WindowWidth": [1022, 50]}
    np.testing.assert_array_equal(displayed(path, dicom(image, **several)), exact)
    empty = displayed(path, dicom(image, WindowCenter="", WindowWidth=""))
    np.testing.assert_array_equal(empty, reference(image))


def lut(values, first=0, bits=12):
    """A VOI or modality LUT sequence with one item."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values) % 65536, first, bits])
    data = np.asarray(values).astype("<u2")
    packed = bits == 8 and data.max() < 256
    item.add_new("LUTData", "OW", (data.astype("u1") if packed else data).tobytes())
    item.ModalityLUTType = "US"
    return [item]


def test_look_up_tables(tmp_path):
    image, path = picture(), tmp_path / "a.dcm"
    curve = np.rint(255 * (np.arange(2048) / 2047) ** 2)
    shown = curve[np.clip(image - 1000, 0, 2047)]
    for bits in (8, 12):  # 8-bit entries packed, or in words
        actual = displayed(path, dicom(image, VOILUTSequence=lut(curve, 1000, bits)))
        np.testing.assert_array_equal(actual, reference(shown))
    window = {"WindowCenter": 700, "WindowWidth": 50}  # the table comes first
    np.testing.assert_array_equal(
        displayed(path, dicom(image, VOILUTSequence=lut(curve, 1000), **window)), actual
    )
    several = [*lut([], 0), *lut(curve, 1000)]  # the first usable table
    np.testing.assert_array_equal(displayed(path, dicom(image, VOILUTSequence=several)), actual)
    wide = np.arange(4096)[::-1] * 16
    data = dicom(image, ModalityLUTSequence=lut(wide, 0, 16))
    np.testing.assert_array_equal(displayed(path, data), reference(wide[image]))
    big = rewritten(data, NATIVE["big-endian"])
    np.testing.assert_array_equal(displayed(path, big), reference(wide[image]))


def test_read_at_squashes_and_letterboxes(tmp_path):
    path = tmp_path / "a.dcm"
    full = processed(path, dicom())
    stored = read_at(path, 32)
    assert (stored.height, stored.width) == (48, 64)
    np.testing.assert_array_equal(stored.pixels, resize(full, 32, 32))
    letterboxed = read_at(path, 32, ImageProcessing("letterbox"))
    np.testing.assert_array_equal(letterboxed.pixels, recipe.letterbox(full, 32))
    np.testing.assert_array_equal(np.rint(read_image(path) * 255), full)


ERRORS = {
    "multi-frame": [{"NumberOfFrames": 3}, {"PixelData": b"\0\1" * 48 * 128}],
    "not-grey": [{"PhotometricInterpretation": "RGB"}, {"SamplesPerPixel": 3}],
    "too-many-pixels": [{"Rows": 20000, "Columns": 20000}],
    "truncated": [{"PixelData": b"\0" * 100}, {"PixelData": None}],
    "unsupported": [{"BitsAllocated": 32}],
    "blank": [
        {"PixelData": b"\7\0" * 48 * 64},
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
    ],
    "damaged": [
        {"Rows": None},
        {"Columns": 0},
        {"BitsStored": 17, "HighBit": 16},
        {"HighBit": 2},
        {"PixelRepresentation": 7},
    ],
}


@pytest.mark.parametrize(
    ("code", "tags"), [(code, tags) for code, cases in ERRORS.items() for tags in cases]
)
def test_errors_have_a_code(tmp_path, code, tags):
    error = error_of(tmp_path / "a.dcm", dicom(**tags))
    assert error.code == code, error


@pytest.mark.parametrize("syntax", [*COMPRESSED, "jpeg-extended"])
def test_a_stream_of_another_size_is_refused_before_decoding(tmp_path, syntax):
    data = in_syntax(syntax)
    tags = b"\x28\x00\x10\x00US\x02\x00"
    assert data.count(tags) == 1
    position = data.index(tags) + 8
    larger = data[:position] + (49).to_bytes(2, "little") + data[position + 2 :]
    error = error_of(tmp_path / "a.dcm", larger)
    assert error.code == "damaged"
    if syntax != "rle":
        assert "holds 48 x 64 pixels" in str(error) and "say 49 x 64" in str(error)


def test_frames_too_small_for_their_size(tmp_path):
    for syntax in COMPRESSED:
        data = in_syntax(syntax)
        for position in (data.index(b"\x28\x00\x10\x00US"), data.index(b"\x28\x00\x11\x00US")):
            data = data[: position + 8] + (4000).to_bytes(2, "little") + data[position + 10 :]
        assert error_of(tmp_path / "a.dcm", data).code == "truncated"


def test_a_crashing_decoder_costs_one_image(tmp_path, monkeypatch):
    """Without its check, an impossible depth crashes the GDCM process, and only that."""
    data = in_syntax("jpeg-lossless-70")
    position = data.index(b"\xff\xc3\x00\x0b") + 4
    damaged = data[:position] + b"\x59" + data[position + 1 :]
    assert "89 bits per pixel" in str(error_of(tmp_path / "a.dcm", damaged))
    monkeypatch.setattr(frames, "_check_frame", lambda path, tags, header: None)
    assert "its decoder failed with exit code -" in str(error_of(tmp_path / "a.dcm", damaged))
    assert read_image_of(tmp_path, data).shape == (48, 64)


def read_image_of(folder, data):
    (folder / "sound.dcm").write_bytes(data)
    return read_image(folder / "sound.dcm")


def test_a_hanging_decoder_is_stopped(tmp_path, monkeypatch):
    script = tmp_path / "sleeper.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(frames, "_GDCM_WORKER", script)
    monkeypatch.setattr(frames, "GDCM_TIMEOUT", 0.2)
    error = error_of(tmp_path / "a.dcm", in_syntax("jpeg-ls"))
    assert error.code == "damaged" and "took more than 0.2 s" in str(error)


def test_without_gdcm_other_syntaxes_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda name: None)
    assert error_of(tmp_path / "a.dcm", in_syntax("jpeg-ls")).code == "unsupported"
    assert read_image_of(tmp_path, in_syntax("jpeg-2000")).shape == (48, 64)


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    data = dicom()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    error = error_of(tmp_path / "a.dcm", data)
    assert error.code == "unsupported" and "pydicom is not installed: pip install" in str(error)


def test_texts_of_the_file_are_not_in_warnings_logs_notes_and_errors(tmp_path, caplog):
    canary = "CANARYxNAME"
    tags = {"PatientName": canary, "StudyDescription": canary, "SpecificCharacterSet": "ISO_IR 100"}
    data = dicom(
        WindowCenter=[1, 2], WindowWidth=[30, 40], VOILUTFunction="LINEAR_EXACT", **tags
    ).replace(b"ISO_IR 100", b"CANARYxSET")
    hint = data.replace(b"LINEAR_EXACT", b"CANARY_EXACT")
    broken = dicom(PhotometricInterpretation="MONOCHROME2", **tags)
    broken = broken.replace(b"MONOCHROME2 ", b"CANARY xCODE")
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always")
        error = error_of(tmp_path / "a.dcm", broken)
        notes = read_dicom(tmp_path / "a.dcm", hint).notes
        quoted = [str(item.message) for item in noticed]
    assert len(notes) == 1 and "unknown VOILUTFunction" in notes[0]
    assert not any("CANARY" in text for text in [str(error), caplog.text, *notes, *quoted])
    assert canary.encode() in data and b"CANARYxSET" in data


def test_threads_read_in_parallel(tmp_path):
    path = tmp_path / "a.dcm"
    data, images = in_syntax("jpeg-2000"), []
    expected = read_dicom(path, data).grey
    threads = [
        threading.Thread(target=lambda: images.append(read_dicom(path, data).grey))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 8
    for image in images:
        np.testing.assert_array_equal(image, expected)


def _parsed(data):
    import pydicom

    return pydicom.dcmread(io.BytesIO(data))
