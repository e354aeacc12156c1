"""JPEG, PNG of 8 and 16 bits and DICOM -> one grey image; damaged and huge files are refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lapse import images
from lapse.images import equalise, image_size, letterbox, read_image, read_jpeg_at, resize_square

pydicom = pytest.importorskip("pydicom")


def gradient(height=48, width=64, top=255):
    """[H, W] rising from left to right, with a bright square at the top left."""
    image = np.tile(np.linspace(0, top * 0.8, width), (height, 1))
    image[:8, :8] = top
    return np.rint(image)


def save(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def write_png16(path, image):
    Image.fromarray(image.astype(np.uint16)).save(path)
    return path


def write_dicom(path, image, photometric="MONOCHROME2", **tags):
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = image.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, photometric
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    data.PixelData = image.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def test_png_of_8_bits(tmp_path):
    image = gradient().astype(np.uint8)
    found = read_image(save(tmp_path / "a.png", image))
    assert found.dtype == np.float32 and found.shape == (48, 64)
    np.testing.assert_allclose(found, image / 255, atol=1e-6)


def test_png_of_16_bits_is_not_clipped(tmp_path):
    eight = gradient()
    found = read_image(write_png16(tmp_path / "a.png", eight * 257))
    np.testing.assert_allclose(found, eight / 255, atol=1e-4)
    twelve = gradient(top=4095)
    found = read_image(write_png16(tmp_path / "b.png", twelve))
    np.testing.assert_allclose(found, twelve / 4095, atol=1e-4)
    # the trap: Pillow's own conversion clips everything above 255 to white
    with Image.open(tmp_path / "b.png") as opened:
        assert np.asarray(opened.convert("L")).mean() > 200 > found.mean() * 255


def test_colour_palette_alpha_and_one_bit(tmp_path):
    image = gradient().astype(np.uint8)
    grey = Image.fromarray(image)
    for mode, name in (("RGB", "c.png"), ("P", "p.png"), ("RGB", "c.jpg"), ("CMYK", "k.jpg")):
        options = {"quality": 98} if name.endswith("jpg") else {}
        grey.convert(mode).save(tmp_path / name, **options)
        assert np.abs(read_image(tmp_path / name) - image / 255).mean() < 0.02, (mode, name)
    layered = Image.merge("LA", (grey, Image.fromarray(np.zeros_like(image))))
    layered.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").max() == 0
    grey.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(read_image(tmp_path / "1.png"))) == {0.0, 1.0}


def test_the_kind_is_told_by_the_content(tmp_path):
    path = save(tmp_path / "really.jpg", gradient().astype(np.uint8), format="PNG")
    assert read_image(path).shape == (48, 64)
    assert image_size(path) == (48, 64)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_every_truncation_is_refused_or_changes_nothing(tmp_path, suffix):
    noise = np.random.default_rng(3).integers(0, 256, (64, 64), np.uint8)
    whole = save(tmp_path / f"whole.{suffix}", noise)
    data, expected = whole.read_bytes(), read_image(whole)
    refused = 0
    lengths = [*range(0, len(data), max(1, len(data) // 40)), len(data) - 3, len(data) - 1]
    for length in lengths:
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[:length])
        for read in (read_image, lambda path: read_jpeg_at(path, 16)):
            try:
                found = read(cut)
            except ValueError as error:
                assert str(cut) in str(error)
                refused += 1
            else:
                assert length >= len(data) - 16, f"{length} of {len(data)} bytes were accepted"
                if found.shape == expected.shape:
                    np.testing.assert_array_equal(found, expected)
    assert refused >= 2 * (len(lengths) - 2)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    rng = np.random.default_rng(5)
    sources = [
        save(tmp_path / "a.png", gradient().astype(np.uint8)),
        save(tmp_path / "a.jpg", gradient().astype(np.uint8)),
        write_dicom(tmp_path / "a.dcm", gradient(top=4095)),
    ]
    outcomes = {"read": 0, "refused": 0}
    for source in sources:
        data = np.frombuffer(source.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = data.copy()
            places = rng.integers(0, min(len(data), 900), 4)
            damaged[places] = rng.integers(0, 256, 4)
            path = tmp_path / "damaged"
            path.write_bytes(damaged.tobytes())
            try:
                image = read_image(path)
            except ValueError:
                outcomes["refused"] += 1
            except Warning:
                outcomes["refused"] += 1  # pydicom warns of odd values; here that is an error
            else:
                assert 0 <= image.min() <= image.max() <= 1
                outcomes["read"] += 1
    assert outcomes["read"] > 10 and outcomes["refused"] > 10


def test_a_claimed_size_is_refused_before_decoding(tmp_path):
    def chunk(kind, body):
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ValueError, match="claims 40000 x 40000 pixels and the limit is 100000000"):
        read_image(path)
    huge = write_dicom(tmp_path / "huge.dcm", gradient(), Rows=60000, Columns=60000)
    with pytest.raises(ValueError, match="claims 60000 x 60000"):
        read_image(huge)


def test_weight_limit_and_foreign_files(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", gradient().astype(np.uint8))
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match=r"weighs \d+ bytes and the limit is 10"):
        read_image(path)
    monkeypatch.undo()
    other = tmp_path / "a.gif"
    other.write_bytes(b"GIF89a" + b"\0" * 50)
    with pytest.raises(ValueError, match="neither JPEG, PNG nor DICOM"):
        read_image(other)
    with pytest.raises(ValueError, match="no image file"):
        read_image(tmp_path / "none.png")


def test_monochrome1_is_inverted_exactly_once(tmp_path):
    image = gradient(top=4095)
    bright = read_image(write_dicom(tmp_path / "2.dcm", image))
    inverse = read_image(write_dicom(tmp_path / "1.dcm", 4095 - image, "MONOCHROME1"))
    assert bright[0, 0] == 1.0 and bright[-1, 0] == 0.0
    assert np.corrcoef(bright.ravel(), inverse.ravel())[0, 1] > 0.999
    windowed = write_dicom(
        tmp_path / "w.dcm", 4095 - image, "MONOCHROME1", WindowCenter=2048, WindowWidth=4096
    )
    assert np.corrcoef(bright.ravel(), read_image(windowed).ravel())[0, 1] > 0.999


def test_dicom_rescale_and_window_come_before_equalisation(tmp_path):
    image = gradient(top=4095)
    path = write_dicom(
        tmp_path / "a.dcm", image, RescaleSlope=2, RescaleIntercept=-1000,
        WindowCenter=3000, WindowWidth=2000,
    )  # fmt: skip
    found = read_image(path)
    # window 2000 .. 4000 of 2 x - 1000, that is stored values 1500 .. 2500
    assert found[20, np.flatnonzero(image[20] < 1480)].max() == found.min() == 0.0
    assert found[20, np.flatnonzero(image[20] > 2520)].min() == found.max() == 1.0
    inside = found[20, np.flatnonzero((image[20] > 1520) & (image[20] < 2480))]
    assert (np.diff(inside) >= 0).all() and 0 < inside.mean() < 1


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PhotometricInterpretation": "RGB"}, "its pixels are 'RGB'"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"PixelData": b"\0" * 100}, "not a readable DICOM"),
    ],
)
def test_dicoms_that_are_no_radiograph(tmp_path, tags, message):
    with pytest.raises(ValueError, match=message):
        read_image(write_dicom(tmp_path / "a.dcm", gradient(top=4095), **tags))


def test_a_deflated_or_blank_dicom_is_refused(tmp_path):
    deflated = write_dicom(
        tmp_path / "d.dcm", gradient(), syntax=pydicom.uid.DeflatedExplicitVRLittleEndian
    )
    with pytest.raises(ValueError, match="deflated"):
        read_image(deflated)
    with pytest.raises(ValueError, match="blank"):
        read_image(write_dicom(tmp_path / "b.dcm", np.full((8, 8), 7)))


def test_equalise_is_flat_and_keeps_the_order():
    image = (np.linspace(0, 1, 4096) ** 2 * 255).astype(np.uint8).reshape(64, 64)
    equalised = equalise(image)
    assert equalised.min() == 0 and equalised.max() == 255
    assert abs(equalised.mean() - 127.5) < 10 < abs(image.mean() - 127.5)
    order = np.argsort(image, axis=None, kind="stable")
    assert (np.diff(equalised.ravel()[order].astype(int)) >= 0).all()
    flat = np.full((4, 4), 9, np.uint8)
    np.testing.assert_array_equal(equalise(flat), flat)


def test_squash_keeps_fractions_and_letterbox_keeps_proportions():
    image = np.zeros((100, 200), np.float32)
    image[25:75, 100:150] = 1.0  # rows .25 to .75, columns .5 to .75
    square = resize_square(image, 40)
    assert square.dtype == np.uint8 and square.shape == (40, 40)
    bright = np.argwhere(square > 127)
    assert bright.min(0).tolist() == [10, 20] and bright.max(0).tolist() == [29, 29]
    fitted = letterbox(image, 40)
    bright = np.argwhere(fitted > 127)
    # scale .2: 20 x 40 pixels, 10 above; rows 10 + 5 .. 10 + 15
    assert bright.min(0).tolist() == [15, 20] and bright.max(0).tolist() == [24, 29]
    assert not fitted[:10].any() and not fitted[30:].any()


def test_resize_averages_what_it_shrinks():
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    for image in (checkers, (checkers / 255).astype(np.float32)):
        small = resize_square(image, 8).astype(int)
        assert np.abs(small[1:-1, 1:-1] - 127.5).max() < 4, "aliased"
    with pytest.raises(ValueError, match=r"\[H, W\], got shape \(4, 4, 3\)"):
        resize_square(np.zeros((4, 4, 3), np.uint8), 2)


def test_the_fast_path_equals_the_full_one(tmp_path):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 8), np.uint8))
    path = tmp_path / "a.jpg"
    coarse.resize((1024, 1280), Image.Resampling.BICUBIC).save(path, quality=95)
    fast = read_jpeg_at(path, 64)
    full = resize_square(read_image(path), 64)
    assert fast.dtype == np.uint8 and fast.shape == (64, 64)
    assert np.abs(fast.astype(int) - full.astype(int)).mean() < 0.5
    with Image.open(path) as opened:
        opened.draft("L", (128, 128))
        assert opened.size == (128, 160), "the draft was expected to shrink eight times"
    coloured = tmp_path / "c.jpg"
    Image.open(path).convert("RGB").save(coloured, quality=95)
    assert np.abs(read_jpeg_at(coloured, 64).astype(int) - full).mean() < 1


def test_other_kinds_take_the_full_path(tmp_path):
    image = gradient().astype(np.uint8)
    path = save(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_jpeg_at(path, 16), resize_square(read_image(path), 16))
    buffer = io.BytesIO(path.read_bytes())
    assert buffer.getvalue()[1:4] == b"PNG"
