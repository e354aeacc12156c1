"""Real films and files of other collections, where a folder of them is named by the environment.

LAPSE_FILMS        a folder of PNG films of 8 bits
LAPSE_IMAGE_CASES  a folder of image files of every kind: dcm, pic and exif
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lapse
import recipe
import small_files as small
from lapse.images import ImageError, read_at, read_image
from lapse.inference.answer import AnswerOptions

pytestmark = pytest.mark.data
NUM_FILMS = 12
OPTIONS = AnswerOptions(guarded=False, allow_unusual=True)
REFUSED_DICOM = {
    "bits32", "deflated", "encapsulated_says_native", "jpeg_rgb_stream_says_mono",
    "photometric_lower", "photometric_missing", "short_one_byte",
}  # fmt: skip
REFUSED_PICTURE = {
    "black": "blank", "white": "blank", "one": "blank", "la_alpha_zero": "blank", "noise": "noise",
    "empty": "an empty file", "html_login": "a saved web page", "lfs": "a Git LFS pointer",
    "film.bmp": "a BMP", "film.gif": "a GIF", "film.tif": "a TIFF", "film16.tif": "a TIFF",
    "leading_newline": "other bytes before it", "no_eoi": "truncated",
}  # fmt: skip


def folder(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} names no folder")
    return Path(path)


def grey(path):
    return np.rint(read_image(path) * 255).astype(int)


def test_three_files_of_a_real_film_give_the_same_pixels_and_answer(tmp_path):
    films = sorted(folder("LAPSE_FILMS").rglob("*.png"))
    model = lapse.load(device="cpu")
    for number, film in enumerate(films[:NUM_FILMS]):
        with Image.open(film) as opened:
            pixels = np.asarray(opened.convert("L"))
        forms = {"a.png": picture(pixels), "b.png": picture(pixels.astype(np.uint16) * 257)}
        forms["c.dcm"] = small.dicom(
            pixels.astype(np.int64) * 16, WindowCenter=900, WindowWidth=500
        )
        paths = [tmp_path / name for name in forms]
        for path in paths:
            path.write_bytes(forms[path.name])
        first, *others = (grey(path) for path in paths)
        for other in others:
            assert np.abs(other - first).max() <= 1, film.name
        if number < 2:
            texts = {model.compare(films[-1], path, options=OPTIONS).text for path in paths}
            assert len(texts) == 1, film.name


def picture(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_every_dicom_of_the_cases(tmp_path):
    paths = sorted((folder("LAPSE_IMAGE_CASES") / "dcm").glob("*.dcm"))
    assert len(paths) > 50
    plain = next(path for path in paths if path.stem == "plain12")
    for path in paths:
        if path.stem in REFUSED_DICOM:
            with pytest.raises(ImageError):
                read_image(path)
        elif path.stem.startswith(("narrow", "sigmoid", "voilut", "linear", "mono")):
            expected = recipe.mimic_of_file(path.read_bytes())
            assert np.abs(grey(path) - expected).max() == 0, path.stem
        elif path.stem.startswith(("excess", "width", "frames", "no_preamble", "implicit")):
            assert np.abs(grey(path) - grey(plain)).max() <= 1, path.stem
        else:
            assert read_at(path, 64).height == 200, path.stem


def test_every_picture_of_the_cases():
    root = folder("LAPSE_IMAGE_CASES")
    upright = grey(root / "exif" / "upright.png")
    for path in (root / "exif").glob("*.jpg"):
        difference = np.abs(grey(path) - upright)
        assert difference.shape == upright.shape and difference.mean() < 3, path.name
    plain = grey(root / "pic" / "plain.png")
    for path in sorted((root / "pic").iterdir()):
        words = REFUSED_PICTURE.get(path.name) or REFUSED_PICTURE.get(path.stem)
        if words:
            with pytest.raises(ImageError, match=words):
                read_image(path)
        elif path.stem.startswith("grey1") and "inverted" not in path.stem:
            assert np.percentile(np.abs(grey(path) - plain), 99) <= 3, path.name
        else:
            read_image(path)
