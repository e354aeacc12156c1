"""The model that is part of the package: valid, small, and usable without a name."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lapse
from lapse.cli.main import app
from lapse.core.annotation_names import REGIONS
from lapse.core.changes import invert
from lapse.core.grammar import parse
from lapse.images import ImageError
from lapse.inference.answer import RESEARCH_USE, AnswerOptions
from lapse.inference.checks.issues import UnusualInputError
from lapse.inference.pretrained import DEFAULT, ModelImage
from lapse.inference.pretrained.export import read_folder
from lapse.metrics.confidence import change_key
from lapse.metrics.guard import UNDECIDED
from lapse.training.exported_model import CARD, CHECK, CONFIG, WEIGHTS
from own_films import render_film
from small_dicom import FIRST, write

MEGABYTES = 25


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two films of a simulated patient."""
    folder = tmp_path_factory.mktemp("pair")
    files = []
    for visit, name in enumerate(("reference", "main")):
        Image.fromarray(render_film(0, visit, size=160)).save(folder / f"{name}.png")
        files.append(folder / f"{name}.png")
    return tuple(files)


def test_the_folder_is_valid_and_small():
    sizes = {path.name: path.stat().st_size for path in DEFAULT.iterdir()}
    assert sizes.keys() == {CONFIG, WEIGHTS, CARD, CHECK}
    assert sizes[CHECK] <= 80_000
    assert sum(sizes.values()) <= MEGABYTES * 1e6
    parts = read_folder(DEFAULT)  # compares the SHA-256
    assert all(np.isfinite(p.numpy()).all() for p in parts.captioner.parameters())
    assert parts.pixel_check is not None and parts.guard is not None
    assert parts.guard.answers >= 100 and parts.guard.precision >= 0.85
    assert parts.calibration is not None and parts.calibration.patients >= 200
    assert parts.calibration.source == "guard" and parts.calibration.error < 0.06
    assert RESEARCH_USE in (DEFAULT / CARD).read_text("utf-8")


def test_the_default_model_answers_a_pair(pair):
    model = lapse.load(device="cpu")
    comparison = model.compare(*pair)
    assert comparison.text == UNDECIDED or parse(comparison.text).is_parsed
    assert parse(comparison.answer.beam).is_parsed, comparison.answer.beam
    assert not [issue for issue in comparison.issues if issue.level == "refused"]
    assert any("simulated patients" in line for line in comparison.lines())
    assert comparison.lines()[-1] == comparison.notice == RESEARCH_USE
    for role, boxes in comparison.boxes.items():
        named = comparison.anatomy[role]
        assert named.keys() == {name for name, box in boxes.items() if box is not None}
        assert set(named.values()) <= set(REGIONS)
    stated = {change_key(change) for change in (*comparison.changes, *comparison.unsure)}
    assert comparison.answer.probabilities.keys() == stated
    plain = model.compare(*pair, options=AnswerOptions(guarded=False))
    assert not plain.answer.probabilities  # guarded answers were calibrated
    (region,) = model.region(pair[1], ["cardiac silhouette"])
    assert region.box is not None and region.phrases


def test_the_answer_to_the_exchanged_pair_is_the_inverted_answer(pair):
    model = lapse.load(device="cpu")
    allowed = AnswerOptions(allow_unusual=True)
    first = model.compare(*pair, options=allowed).answer
    second = model.compare(*reversed(pair), options=allowed).answer
    assert invert(first.changes) == set(second.changes)
    assert invert(first.unsure) == set(second.unsure)
    assert (first.status, first.reasons) == (second.status, second.reasons)


TURNED = {
    "turned by 180 degrees": lambda film: film[::-1, ::-1],
    "flipped": lambda film: film[::-1],
    "turned by 90 degrees to the left": np.rot90,
    "turned by 90 degrees to the right": lambda film: np.rot90(film, -1),
    "negative": lambda film: 255 - film,
}


@pytest.fixture(scope="module")
def films():
    """One film each of twenty simulated patients."""
    return [render_film(patient, 1, size=160) for patient in range(20)]


def pixel_issues(model, film):
    image = model.open(np.ascontiguousarray(film), allow_unusual=True)
    return model.check({"image": image})


@pytest.mark.parametrize("kind", TURNED)
def test_turned_and_negative_films_are_refused_with_their_kind(films, kind):
    """At least 95% of each kind, of films that are not refused as they are."""
    model = lapse.load(device="cpu")
    refused = [
        issue
        for film in films
        for issue in pixel_issues(model, TURNED[kind](film))
        if issue.level == "refused"
    ]
    assert len(refused) >= 0.95 * len(films)
    assert all(kind in issue.message for issue in refused)


def test_upright_films_are_not_refused(films):
    model = lapse.load(device="cpu")
    assert not [issue for film in films for issue in pixel_issues(model, film)]


def test_noise_and_a_turned_film_get_no_answer(pair):
    model = lapse.load(device="cpu")
    turned = np.ascontiguousarray(np.asarray(Image.open(pair[1]))[::-1, ::-1])
    noise = np.random.default_rng(0).integers(0, 256, (model.image_size,) * 2, np.uint8)
    stored = ModelImage.of_store(noise)  # of a store: a file of noise is not read at all
    with pytest.raises(ImageError, match="is noise and not a film"):
        model.open(noise)
    for image, words in (
        (turned, "turned by 180 degrees"),
        (stored, "not like a frontal chest film"),
    ):
        with pytest.raises(UnusualInputError, match=words):
            model.compare(pair[0], image)
        with pytest.raises(UnusualInputError, match=words):
            model.caption(image)
    (issue,) = model.check({"image": stored})
    assert issue.level == "refused"
    assert model.caption(model.open(stored, allow_unusual=True), num_beams=1)


def test_the_command_refuses_what_headers_contradict(pair, tmp_path):
    hand = write(tmp_path / "hand.dcm", {**FIRST, "BodyPartExamined": "HAND"})
    words = ["answer", "--reference", str(pair[0]), "--main", str(hand)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0 and "BodyPartExamined" in str(done.exception)
    done = CliRunner().invoke(app, [*words, "--allow-unusual", "--unguarded"])
    assert done.exit_code == 0, done.output
    assert "warning: the main image shows another part of the body" in done.stdout


def test_the_command_needs_no_model_argument(pair):
    words = ["answer", "--reference", str(pair[0]), "--main", str(pair[1])]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == RESEARCH_USE


def test_the_wheel_contains_the_model():
    """hatchling packs all files below src/lapse that git does not ignore."""
    root = Path(__file__).parents[4]
    files = [str(DEFAULT / name) for name in (CONFIG, WEIGHTS, CARD, CHECK)]
    done = subprocess.run(
        ["git", "-C", str(root), "check-ignore", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
