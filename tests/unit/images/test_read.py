"""JPEG and PNG of 8 and 16 bits -> one grey image; damaged and huge files are refused."""

import copy
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lapse.images import (
    ImageError,
    ImageProcessing,
    equalise,
    image_size,
    read_at,
    read_image,
)
from lapse.images import errors as errors
from lapse.images import png_header as png
from lapse.images.resize import resize
from recipe import equalised, letterbox
from small_files import png_chunks

pydicom = pytest.importorskip("pydicom")


def gradient(height=48, width=64, top=255):
    """[H, W] rising from left to right, with a bright square at the top left."""
    image = np.tile(np.linspace(0, top * 0.8, width), (height, 1))
    image[:8, :8] = top
    return np.rint(image)


def save(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def grey_levels(path):
    return np.rint(read_image(path) * 255).astype(np.uint8)


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
    actual = read_image(save(tmp_path / "a.png", image))
    assert actual.dtype == np.float32 and actual.shape == (48, 64)
    np.testing.assert_allclose(actual, equalised(image) / 255, atol=1e-6)


def test_png_of_16_bits_is_not_clipped(tmp_path):
    eight = gradient()
    expected = equalised(eight.astype(np.uint8)) / 255
    for name, values in (("a", eight * 257), ("b", eight * 16), ("c", eight)):
        actual = read_image(write_png16(tmp_path / f"{name}.png", values))
        np.testing.assert_allclose(actual, expected, atol=1e-6)
    # Pillow's own conversion clips everything above 255 to white
    with Image.open(tmp_path / "b.png") as opened:
        assert np.asarray(opened.convert("L")).mean() > 200 > actual.mean() * 255


def test_a_percentile_window_ignores_a_few_bright_pixels(tmp_path):
    film = gradient() * 40 + 3000
    marked = film.copy()
    marked[:2, :3] = 65535  # 0.2% of the pixels, which the window for bright defects keeps
    plain = write_png16(tmp_path / "plain.png", film)
    changed = write_png16(tmp_path / "marked.png", marked)
    rest = np.ones(film.shape, bool)
    rest[:2, :3] = False

    def difference(intensity):
        one, other = (read_image(path, intensity)[rest] * 255 for path in (plain, changed))
        return np.abs(one - other).mean()

    assert difference("percentile") < 1.5
    assert difference("mimic") > 2 * difference("percentile")
    eight = save(tmp_path / "8.png", gradient().astype(np.uint8))
    np.testing.assert_array_equal(read_image(eight, "percentile"), read_image(eight, "mimic"))


def test_the_bytes_of_a_member_of_an_archive_are_read_as_a_file(tmp_path):
    path = write_png16(tmp_path / "a.png", gradient() * 9)
    member = read_at(tmp_path / "films.zip" / "a.png", 16, data=path.read_bytes())
    np.testing.assert_array_equal(member.pixels, read_at(path, 16).pixels)


def test_colour_palette_alpha_and_one_bit(tmp_path):
    image = gradient().astype(np.uint8)
    grey = Image.fromarray(image)
    for mode, name in (("RGB", "c.png"), ("P", "p.png"), ("RGB", "c.jpg"), ("CMYK", "k.jpg")):
        options = {"quality": 98} if name.endswith("jpg") else {}
        grey.convert(mode).save(tmp_path / name, **options)
        actual = read_image(tmp_path / name)
        assert np.abs(actual - equalised(image) / 255).mean() < 0.02, (mode, name)
    layered = Image.merge("LA", (grey, Image.fromarray(np.where(image > 90, 255, 0).astype("u1"))))
    layered.save(tmp_path / "a.png")
    transparent = read_image(tmp_path / "a.png")[image <= 90]
    assert transparent.size and not transparent.any()
    grey.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(read_image(tmp_path / "1.png"))) == {0.0, 1.0}


def test_the_format_is_recognised_by_the_content(tmp_path):
    path = save(tmp_path / "really.jpg", gradient().astype(np.uint8), format="PNG")
    assert read_image(path).shape == (48, 64)
    assert image_size(path) == (48, 64)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_every_truncation_is_refused_or_changes_nothing(tmp_path, suffix):
    noise = np.random.default_rng(3).integers(0, 256, (64, 64), np.uint8)
    full = save(tmp_path / f"whole.{suffix}", noise // 2 + 2 * np.arange(64, dtype=np.uint8))
    data, expected = full.read_bytes(), read_image(full)
    refused = 0
    lengths = [*range(0, len(data), max(1, len(data) // 40)), len(data) - 3, len(data) - 1]
    for length in lengths:
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[:length])
        for read in (read_image, lambda path: read_at(path, 16).pixels):
            try:
                actual = read(cut)
            except ValueError as error:
                assert str(cut) in str(error)
                refused += 1
            else:
                assert length >= len(data) - 16, f"{length} of {len(data)} bytes were accepted"
                if actual.shape == expected.shape:
                    np.testing.assert_array_equal(actual, expected)
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
            positions = rng.integers(0, min(len(data), 900), 4)
            damaged[positions] = rng.integers(0, 256, 4)
            path = tmp_path / "damaged"
            path.write_bytes(damaged.tobytes())
            try:
                image = read_image(path)
            except ValueError:
                outcomes["refused"] += 1
            except Warning:
                outcomes["refused"] += 1  # warnings of pydicom are errors in tests
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
    # within the limit of pixels, but colours take too much memory
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0))
    body += chunk(b"IDAT", zlib.compress(b"\0" * 8000 * 24001)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ValueError, match="claims 8000 x 8000 pixels and the limit is 41666666"):
        image_size(path)


def test_size_limit_and_other_formats(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", gradient().astype(np.uint8))
    monkeypatch.setattr(errors, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match=r"has \d+ bytes and the limit is 10"):
        read_image(path)
    monkeypatch.undo()
    other = tmp_path / "a.gif"
    other.write_bytes(b"GIF89a" + b"\0" * 50)
    with pytest.raises(ValueError, match="is a GIF: convert it to PNG"):
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


def test_rescale_and_window_come_before_equalisation_in_the_display(tmp_path):
    image = gradient(top=4095)
    path = write_dicom(
        tmp_path / "a.dcm", image, RescaleSlope=2, RescaleIntercept=-1000,
        WindowCenter=3000, WindowWidth=2000,
    )  # fmt: skip
    actual = read_image(path, "display")
    # window 2000 .. 4000 of 2 x - 1000, that is stored values 1500 .. 2500
    assert actual[20, np.flatnonzero(image[20] < 1480)].max() == actual.min() == 0.0
    assert actual[20, np.flatnonzero(image[20] > 2520)].min() == actual.max() == 1.0
    inside = actual[20, np.flatnonzero((image[20] > 1520) & (image[20] < 2480))]
    assert (np.diff(inside) >= 0).all() and 0 < inside.mean() < 1
    assert len(np.unique(read_image(path)[20])) > len(np.unique(actual[20])) + 10


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PhotometricInterpretation": "RGB"}, "its pixels are 'RGB'"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"PixelData": b"\0" * 100}, "ends inside its pixels: 100 of 6144"),
    ],
)
def test_dicoms_that_are_not_radiographs(tmp_path, tags, message):
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
    flattened = np.asarray(equalise(Image.fromarray(image)))
    assert flattened.min() == 0 and flattened.max() == 255
    assert abs(flattened.mean() - 127.5) < 10 < abs(image.mean() - 127.5)
    order = np.argsort(image, axis=None, kind="stable")
    assert (np.diff(flattened.ravel()[order].astype(int)) >= 0).all()
    np.testing.assert_array_equal(flattened, equalised(image))
    flat = np.full((4, 4), 9, np.uint8)
    np.testing.assert_array_equal(np.asarray(equalise(Image.fromarray(flat))), flat)


def test_squash_keeps_fractions_and_letterbox_keeps_proportions():
    image = np.zeros((100, 200), np.float32)
    image[25:75, 100:150] = 1.0  # rows .25 to .75, columns .5 to .75
    square = resize(image, 40, 40)
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
        small = resize(image, 8, 8).astype(int)
        assert np.abs(small[1:-1, 1:-1] - 127.5).max() < 4, "aliased"
    with pytest.raises(ValueError, match=r"\[H, W\], got shape \(4, 4, 3\)"):
        resize(np.zeros((4, 4, 3), np.uint8), 2, 2)


def test_the_reduced_decode_equals_the_full_decode(tmp_path):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 8), np.uint8))
    path = tmp_path / "a.jpg"
    coarse.resize((1024, 1280), Image.Resampling.BICUBIC).save(path, quality=95)
    fast = read_at(path, 64).pixels
    full = resize(read_image(path), 64, 64)
    assert fast.dtype == np.uint8 and fast.shape == (64, 64)
    assert np.abs(fast.astype(int) - full.astype(int)).mean() < 0.5
    with Image.open(path) as opened:
        opened.draft("L", (256, 256))
        assert opened.size == (256, 320), "the draft was expected to shrink four times"
    coloured = tmp_path / "c.jpg"
    Image.open(path).convert("RGB").save(coloured, quality=95)
    assert np.abs(read_at(coloured, 64).pixels.astype(int) - full).mean() < 1


def test_other_formats_are_decoded_at_full_size(tmp_path):
    image = gradient().astype(np.uint8)
    path = save(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_at(path, 16).pixels, resize(grey_levels(path), 16, 16))
    buffer = io.BytesIO(path.read_bytes())
    assert buffer.getvalue()[1:4] == b"PNG"


def test_read_at_returns_the_original_size_and_letterboxes_by_it(tmp_path):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 8), np.uint8))
    path = tmp_path / "a.jpg"
    coarse.resize((1021, 1283), Image.Resampling.BICUBIC).save(path, quality=95)
    image = read_image(path)
    for way, full in (("squash", resize(image, 64, 64)), ("letterbox", letterbox(image, 64))):
        stored = read_at(path, 64, ImageProcessing(way))
        assert (stored.height, stored.width) == (1283, 1021)
        assert np.abs(stored.pixels.astype(int) - full).mean() < 0.5, way
    boxed = read_at(path, 64, ImageProcessing("letterbox")).pixels
    # 64 / 1283 * 1021 = 50.9 columns, 7 left of them
    assert not boxed[:, :7].any() and not boxed[:, 57:].any() and boxed[:, 7:57].any()
    png = save(tmp_path / "a.png", gradient().astype(np.uint8))
    np.testing.assert_array_equal(
        read_at(png, 16, ImageProcessing("letterbox")).pixels, letterbox(grey_levels(png), 16)
    )
    with pytest.raises(ValueError, match="cannot read an image at 0 x 0"):
        read_at(png, 0)


def test_errors_have_a_code_and_can_be_pickled(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "none.png")
    assert caught.value.code == "missing" and str(caught.value).startswith("missing: no image")
    copied = copy.copy(caught.value)  # uses the same method as pickling
    assert (copied.code, str(copied)) == (caught.value.code, str(caught.value))
    assert set(errors.CODES) >= {"missing", "damaged", "multi-frame"}
    with pytest.raises(ImageError, match="missing"):
        read_image(tmp_path)


def test_a_changed_pixel_of_a_png_is_detected_by_its_checksum(tmp_path):
    image = gradient().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=0)
    data = bytearray(stream.getvalue())
    data[data.index(b"IDAT") + 900] ^= 0x10
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"damaged: .*checksum of PNG chunk b'IDAT'"):
        read_image(tmp_path / "a.png")


def test_a_jpeg_padded_with_zeros_is_truncated(tmp_path):
    """Like an interrupted download. Pillow decodes the zeros as grey."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 128, (256, 256), np.uint8)
    noise += np.arange(256, dtype=np.uint8) // 2
    Image.fromarray(noise).save(stream, "JPEG", quality=95)
    data = stream.getvalue()
    filled = data[: len(data) // 2] + b"\0" * (len(data) // 2)
    with Image.open(io.BytesIO(filled)) as opened:
        assert np.asarray(opened).shape == (256, 256)
    (tmp_path / "a.jpg").write_bytes(filled)
    with pytest.raises(ImageError, match=r"truncated: .*there is no end marker"):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(data + b"garbage after the end")
    assert read_image(tmp_path / "b.jpg").shape == (256, 256)


def test_processing_in_strips_does_not_change_the_result(tmp_path, monkeypatch):
    layered = Image.merge("LA", [Image.fromarray(gradient().astype(np.uint8))] * 2)
    layered.save(tmp_path / "a.png")
    paths = [
        tmp_path / "a.png",
        write_png16(tmp_path / "b.png", gradient(top=4095)),
        write_dicom(tmp_path / "c.dcm", gradient(top=4095)),
    ]
    full = [read_image(path) for path in paths]
    monkeypatch.setattr("lapse.images.intensity.STRIP", 300)
    for path, expected in zip(paths, full, strict=True):
        np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64])
def test_interlaced_png_rows_are_counted_as_the_writer_does(tmp_path, size):
    """All seven passes, including the empty ones of small images; one byte less is refused."""
    pixels = np.arange(size * (size + 1), dtype=np.uint8).reshape(size, size + 1)
    rows = []
    for left, top, across, down in png._PASSES:
        part = pixels[top::down, left::across]
        rows += [b"\0" + row.tobytes() for row in part] if part.size else []
    for cut in (0, 1):
        data = b"".join(rows)
        body = struct.pack(">IIBBBBB", size + 1, size, 8, 0, 0, 0, 1)
        data = zlib.compress(data[: len(data) - cut])
        path = tmp_path / f"{cut}.png"
        path.write_bytes(png_chunks((b"IHDR", body), (b"IDAT", data), (b"IEND", b"")))
    if size > 1:
        actual = np.rint(read_image(tmp_path / "0.png") * 255)
        np.testing.assert_array_equal(actual, equalised(pixels))
    with pytest.raises(ImageError, match="truncated"):
        read_image(tmp_path / "1.png")
