"""A model folder: written of two runs, opened again, asked."""

import gc
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image
from transformers import SiglipVisionModel
from typer.testing import CliRunner

import lapse
import tiny_runs
from lapse.cli.main import app
from lapse.core.grammar import Change
from lapse.core.types import Box
from lapse.data.loading.batch import normalise
from lapse.inference.answer import RESEARCH_USE, Answer, answer_pair
from lapse.inference.pretrained import Lapse, load, load_model_image
from lapse.inference.pretrained.export import from_runs, read_folder
from lapse.training.run_folder import load_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs, their model folder, and two image files that are not square."""
    folder = tmp_path_factory.mktemp("pretrained")
    runs = tiny_runs.write(folder)
    Lapse(from_runs(*runs, facts={"trained on": "nothing: random weights"})).save_pretrained(
        folder / "model"
    )
    draw = np.random.default_rng(0)
    for name in ("reference", "main"):
        Image.fromarray(draw.integers(0, 256, (40, 60), np.uint8)).save(folder / f"{name}.png")
    return SimpleNamespace(folder=folder, runs=runs, model=folder / "model")


def halved(model):
    """The same weights after a trip through 16 bits."""
    for value in model.state_dict().values():
        value.copy_(value.half().float())
    return model


def test_the_folder_answers_as_the_run_that_it_was_made_of(made):
    run = load_run(made.runs[1], "cpu")
    halved(run.model)
    files = made.folder / "reference.png", made.folder / "main.png"
    expected = answer_pair(run, *files)
    said = lapse.load(made.model, device="cpu").compare(*files)
    assert said.answer == expected
    assert said.text == expected.text
    assert said.lines()[-1] == RESEARCH_USE == said.notice
    assert 0.0 < said.confidence["answer"] <= 1.0
    assert len(said.confidence) == 1 + len(said.changes)


def test_sureness_stands_behind_its_change():
    edema, air = Change("edema", "added"), Change("pneumothorax", "missing")
    said = Answer("...", (edema, air), (), {"answer": 0.5, "added edema": 0.75})
    assert said.lines()[1:3] == [
        "  + edema (in the main image only), 75% of the beam",
        "  - pneumothorax (in the reference image only; not proven resolved)",
    ]


def test_both_stages_share_one_encoder_in_memory_and_on_disk(made):
    parts = read_folder(made.model)
    assert parts.answerer.encoder is parts.captioner.encoder
    encoder = sum(p.numel() for p in parts.captioner.encoder.parameters())
    both = sum(
        p.numel() for m in (parts.captioner, parts.answerer) for p in m.parameters()
    )  # counts the encoder twice
    stored = (made.model / "model.safetensors").stat().st_size
    assert 2 * (both - encoder) < stored < 2 * (both - encoder) + 20_000


def test_an_open_model_holds_its_weights_once(made):
    """Without the guard the hub's mixin keeps a deep copy of all that a model is built from."""
    model = load(made.model, device="cpu")
    kinds = (type(model.captioner), type(model.answerer))

    def counted() -> int:
        gc.collect()
        return sum(type(item) in kinds for item in gc.get_objects())

    before = counted()
    another = load(made.model, device="cpu")
    assert counted() == before + 2 and another.image_size == model.image_size


def test_save_from_pretrained_and_hub_are_one_format(made, tmp_path):
    model = Lapse.from_pretrained(made.model)
    model.save_pretrained(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (made.model / name).read_bytes()


def test_push_to_hub_uploads_the_three_files(made, monkeypatch):
    """The upload itself is the library's; what it is handed is looked at."""
    sent = {}
    monkeypatch.setattr(HfApi, "create_repo", lambda *_a, **_k: SimpleNamespace(repo_id="me/model"))

    def upload(_api, *, folder_path, **_kwargs):
        sent.update({path.name: path.stat().st_size for path in folder_path.iterdir()})

    monkeypatch.setattr(HfApi, "upload_folder", upload)
    load(made.model, device="cpu").push_to_hub("me/model")
    assert sent == {path.name: path.stat().st_size for path in made.model.iterdir()}


def test_every_question_has_an_answer_of_its_type(made):
    model = load(made.model, device="cpu")
    picture = model.open(made.folder / "main.png")
    assert isinstance(model.caption(picture), str)
    assert isinstance(model.describe(picture, Box(0.1, 0.1, 0.5, 0.5)), str)
    found = model.ground(picture, "There is edema.")
    assert found is None or isinstance(found, Box)
    regions = model.region(picture, ["left lung", "carina"], num_beams=1)
    assert [item.name for item in regions] == ["left lung", "carina"]
    with pytest.raises(ValueError, match="phrase is empty"):
        model.ground(picture, " ")


def test_paths_pictures_and_arrays_are_the_same_image(made):
    path = made.folder / "main.png"
    one = load_model_image(path, 32).pixels
    grey = np.asarray(Image.open(path))
    for source in (str(path), Image.open(path), grey, grey.astype(np.float32) / 255):
        other = load_model_image(source, 32).pixels
        assert (
            np.abs(other.astype(int) - one.astype(int)).max() <= 1
        )  # bytes and floats round apart


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4), np.int32), "uint8 or floats"),
        (np.full((4, 4), 1.5), "must be in"),
        (np.full((4, 4), np.nan), "must be in"),
    ],
)
def test_an_array_of_another_kind_is_refused(array, message):
    with pytest.raises(ValueError, match=message):
        load_model_image(array, 32)


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
def test_a_box_on_the_original_survives_being_written_and_found(resize):
    picture = load_model_image(np.zeros((100, 50), np.uint8), 448, resize)
    box = Box(0.2, 0.1, 0.7, 0.9)
    again = picture.parse_box(f"There is edema. {picture.format_box(box)}")
    assert again.iou(box) > 0.98
    assert picture.parse_box("[1, 2, 3") is None
    assert picture.parse_box("[1, 2, 900, 901]") is None


def test_transformers_opens_the_exported_encoder_with_equal_outputs(made, tmp_path):
    model = load(made.model, device="cpu")
    model.export_encoder(tmp_path / "encoder")
    theirs = SiglipVisionModel.from_pretrained(tmp_path / "encoder").eval()
    pixels = normalise(torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8), 1)
    with torch.no_grad():
        expected = model.captioner.encoder(pixels)
        found = theirs(pixel_values=pixels).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)


def test_runs_with_two_encoders_or_exchanged_are_refused(made, tmp_path):
    other = tiny_runs.write(tmp_path, same_encoder=False)
    with pytest.raises(ValueError, match="different encoders"):
        from_runs(*other)
    with pytest.raises(ValueError, match="is of stage 'diffvqa', wanted 'pretrain'"):
        from_runs(made.runs[1], made.runs[0])
    with pytest.raises(ValueError, match="did you mean 'squash'"):
        from_runs(*made.runs, resize="squish")


def test_every_flipped_bit_of_the_weights_is_refused(made, tmp_path):
    weights = (made.model / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_bytes((made.model / "config.json").read_bytes())
    draw = np.random.default_rng(1)
    for place in draw.integers(0, len(weights), 40):
        bad = bytearray(weights)
        bad[place] ^= 1 << int(draw.integers(8))
        (tmp_path / "model.safetensors").write_bytes(bad)
        with pytest.raises(ValueError, match="damaged, or of another model"):
            read_folder(tmp_path)


def test_the_digest_is_what_finds_a_flipped_bit(made, tmp_path):
    """Without the guard the flip is read: the weights differ and nobody says so."""
    weights = bytearray((made.model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    values = json.loads((made.model / "config.json").read_text())
    import hashlib

    values["sha256"] = hashlib.sha256(weights).hexdigest()
    (tmp_path / "config.json").write_text(json.dumps(values))
    read_folder(tmp_path)


def test_names_that_pin_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="40 hex digits"):
        load("someone/model")
    with pytest.raises(ValueError, match="40 hex digits"):
        load("someone/model@main")
    with pytest.raises(ValueError, match="neither a model folder nor a hub id"):
        load(tmp_path / "nothing" / "here")
    with pytest.raises(ValueError, match=r"has no config\.json"):
        load(tmp_path)


def test_the_commands_export_and_answer(made, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "model"
    done = run(app, ["export", *map(str, made.runs), str(out), "--trained-on", "noise"])
    assert done.exit_code == 0, done.output
    assert "| trained on | noise |" in (out / "README.md").read_text()
    images = ["--reference", str(made.folder / "reference.png")]
    images += ["--main", str(made.folder / "main.png")]
    said = run(app, ["answer", str(out), *images])
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[-1] == RESEARCH_USE


def test_importing_the_package_does_not_wait_for_torch():
    code = "import lapse, sys; assert 'torch' not in sys.modules; lapse.load; sys.modules['torch']"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lead'"):
        _ = lapse.lead


def test_one_name_in_place_of_a_list_is_no_list_of_letters(made):
    with pytest.raises(ValueError, match=r"give a list of names, \['left lung'\]"):
        load(made.model, device="cpu").region(made.folder / "main.png", "left lung")
