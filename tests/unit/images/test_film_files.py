"""One film as many kinds of file: the same pixels, or a refusal that says what the file is."""

import io

import numpy as np
import pytest
from PIL import Image

import film_files as files
import recipe
import small_files as small
from lapse.images import ImageError, ImageProcessing, fit_image, image_size, read_at, read_image

DISPLAY = ImageProcessing(intensity="display")


def write(path, data):
    path.write_bytes(data)
    return path


def levels(path, intensity="mimic"):
    return np.rint(read_image(path, intensity) * 255).astype(int)


@pytest.mark.parametrize("name", files.FILMS)
def test_a_film_is_read_whatever_its_file(tmp_path, name):
    case = files.FILMS[name]
    path, plain = write(tmp_path / "case", case.make()), write(tmp_path / "same", case.same())
    for intensity in ("mimic", "display"):
        difference = np.abs(levels(path, intensity) - levels(plain, intensity))
        assert np.percentile(difference, 99.5) <= case.tolerance, intensity
    stored = read_at(path, 32)
    assert (stored.height, stored.width) == (files.HEIGHT, files.WIDTH)
    assert any(case.note in note for note in stored.notes) if case.note else not stored.notes
    assert not read_at(plain, 32).notes


@pytest.mark.parametrize("name", files.REFUSED)
def test_a_file_without_a_film_is_refused_and_named(tmp_path, name):
    case = files.REFUSED[name]
    path = write(tmp_path / "case", case.data)
    for read in (
        read_image,
        lambda path: read_at(path, 32),
        lambda path: read_at(path, 32, DISPLAY),
    ):
        with pytest.raises(ImageError) as caught:
            read(path)
        assert caught.value.code == case.code and case.words in caught.value.message
        assert str(path) in caught.value.message


def test_three_formats_of_one_film_give_the_same_pixels(tmp_path):
    """DICOM, PNG of 16 bits, and PNG of 8 bits that the scaling of the recipe made."""
    values = files.film()
    scaled = (values - values.min()) * 255 // (values.max() - values.min())
    paths = [
        write(tmp_path / "a.dcm", files.dicom()),
        write(tmp_path / "a16.png", files.png16(values)),
        write(tmp_path / "a8.png", files.picture(scaled.astype(np.uint8))),
        write(tmp_path / "m1.dcm", inverted(values)),
    ]
    expected = levels(paths[0])
    assert np.abs(expected - recipe.mimic(values)).max() == 0
    for path in paths[1:3]:
        np.testing.assert_array_equal(levels(path), expected)
    # an inverted film is truncated from its other end
    assert np.abs(levels(paths[3]) - expected).mean() < 1


def inverted(values):
    return small.dicom(4095 - values, PhotometricInterpretation="MONOCHROME1")


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({"WindowCenter": 1500, "WindowWidth": 400}, lambda x: np.clip(x, 1300, 1699)),
        (
            {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 500, "WindowWidth": 401},
            lambda x: np.clip(x - 1024.0, 299.5, 699.5),
        ),
        (
            {"WindowCenter": 1700, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
            lambda x: 1 / (1 + np.exp(-4 * (x - 1700) / 900)),
        ),
        (
            {"VOILUTSequence": [files.lut_item()]},
            lambda x: np.linspace(0, 4095, 4096).astype(int)[x],
        ),
    ],
    ids=["narrow window", "intercept and window", "sigmoid", "table"],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_both_intensities_against_the_oracle(tmp_path, photometric, tags, shown):
    values, is_inverted = files.film(), photometric == "MONOCHROME1"
    path = write(tmp_path / "a.dcm", files.dicom(**tags, PhotometricInterpretation=photometric))
    mimic = levels(path)
    np.testing.assert_array_equal(mimic, recipe.mimic_of_file(path.read_bytes()))
    np.testing.assert_array_equal(mimic, recipe.mimic(values, is_inverted=is_inverted))
    expected = recipe.mimic(shown(values), is_inverted=is_inverted)
    displayed = levels(path, "display")
    assert np.abs(displayed - expected).max() <= 8  # a float at the border of two levels
    assert (displayed != expected).mean() < 0.02


def test_a_narrow_window_matters(tmp_path):
    """Negative control: the two intensities differ by far more than their tolerance."""
    path = write(tmp_path / "a.dcm", files.dicom(WindowCenter=1500, WindowWidth=200))
    assert np.abs(levels(path) - levels(path, "display")).mean() > 10


def test_padding_is_part_of_the_recipe_and_black_in_the_display(tmp_path):
    values = files.film()
    values[:, :10] = 4095
    path = write(tmp_path / "a.dcm", small.dicom(values, PixelPaddingValue=4095))
    np.testing.assert_array_equal(levels(path), recipe.mimic(values))
    displayed = levels(path, "display")
    assert not displayed[:, :10].any()
    assert np.abs(displayed[:, 10:] - recipe.mimic(values[:, 10:])).max() <= 2
    ranged = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}
    for intensity in ("mimic", "display"):
        with pytest.raises(ImageError, match="blank"):
            read_image(write(path, files.dicom(**ranged)), intensity)


def test_the_size_of_a_picture_is_that_of_the_upright_film(tmp_path):
    for kind in ("PNG", "JPEG"):
        for number in files.STORED:
            path = write(tmp_path / "a", files.turned(number, kind))
            assert image_size(path) == (files.HEIGHT, files.WIDTH)


def test_a_turned_film_is_letterboxed_upright(tmp_path):
    processing = ImageProcessing("letterbox")
    expected = read_at(write(tmp_path / "a", files.picture()), 32, processing).pixels
    for number in files.STORED:
        path = write(tmp_path / "b", files.turned(number, "PNG"))
        np.testing.assert_array_equal(read_at(path, 32, processing).pixels, expected)


def test_an_image_in_memory_is_processed_as_a_file(tmp_path):
    path = write(tmp_path / "a", files.turned(6, "PNG"))
    grey, expected = files.grey8(), read_at(path, 32)
    with Image.open(path) as opened:
        sources = [opened.copy(), grey, grey.astype(np.float32) / 255]
        for source in sources:
            np.testing.assert_array_equal(fit_image(source, 32).pixels, expected.pixels)
    with pytest.raises(ImageError, match="blank"):
        fit_image(np.full((9, 9), 3, np.uint8), 32)


def test_equalising_again_changes_little(tmp_path):
    once = levels(write(tmp_path / "a", files.picture()))
    again = levels(write(tmp_path / "b", files.picture(once.astype(np.uint8))))
    assert np.abs(once - again).max() <= 1


def test_a_one_bit_drawing_has_structure(tmp_path):
    """Dithered pixels are as unrelated to their neighbours as noise; areas of them are not."""
    stream = io.BytesIO()
    equalised = Image.fromarray(recipe.equalised(files.grey8()))
    large = equalised.resize((320, 384), Image.Resampling.BICUBIC)
    large.convert("1").save(stream, "PNG")
    assert set(np.unique(read_image(write(tmp_path / "a", stream.getvalue())))) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"resize": "squish"}, "unknown way to resize 'squish'"), ({"intensity": "raw"}, "'raw'")],
)
def test_unknown_processing_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ImageProcessing(**values)
