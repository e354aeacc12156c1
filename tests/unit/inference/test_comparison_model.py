"""One function opens every kind of model that compares two films."""

import pytest

import phantom_films
import tiny_runs
from lapse.core.changes import QUESTION_CHANGED
from lapse.inference.comparison_model import RunModel, open_model
from lapse.inference.pretrained import Lapse
from lapse.inference.pretrained.image_input import load_model_image


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tiny_runs.write(tmp_path_factory.mktemp("runs"))


def test_a_run_folder_and_a_model_folder_are_opened_by_name(runs):
    assert isinstance(open_model(str(runs[1])), RunModel)
    assert isinstance(open_model(), Lapse) and isinstance(open_model("packaged"), Lapse)


def test_a_run_compares_bytes_in_memory_as_it_compares_files(runs, tmp_path):
    model = open_model(str(runs[1]), device="cpu")
    films = phantom_films.films()[:2]
    paths = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for path, film in zip(paths, films, strict=True):
        path.write_bytes(film)
    images = [load_model_image(film, model.image_size, model.processing) for film in films]
    from_files, from_bytes = model.compare(*paths), model.compare(*images)
    assert from_bytes.answer == from_files.answer
    assert from_bytes.films["main"].width == from_files.films["main"].width
    assert from_files.question == QUESTION_CHANGED and from_files.boxes == {}
    with pytest.raises(ValueError, match="later than"):  # the headers are read in both forms
        model.compare(*reversed(images))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stage1", "stage 'pretrain': answers need a stage-2 run"),
        ("missing", "neither a model folder nor a hub id"),
        ("org/name@main", "neither a model folder nor a hub id"),
    ],
)
def test_what_cannot_compare_films_is_refused(runs, name, message):
    path = runs[0].parent / name
    with pytest.raises(ValueError, match=message):
        open_model(str(path) if path.is_dir() else name)
