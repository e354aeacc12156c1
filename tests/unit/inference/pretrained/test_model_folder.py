"""A model folder: written from two runs, read again, and used."""

import gc
import hashlib
import json
import shutil
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
from lapse.core.changes import Change
from lapse.core.types import Box
from lapse.data.loading.batch import normalise
from lapse.images import ImageProcessing, read_at
from lapse.images.film_facts import FilmFacts
from lapse.inference.answer import AGREEMENT_NOTE, RESEARCH_USE, Answer, AnswerOptions
from lapse.inference.checks.issues import InputIssue, UnusualInputError
from lapse.inference.comparison_model import RunModel
from lapse.inference.pretrained import Lapse, load, load_model_image
from lapse.inference.pretrained.export import from_runs, read_folder
from lapse.training.run_folder import load_run


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
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


def round_to_half(model):
    """Round the weights to 16 bits, as a model folder does."""
    for value in model.state_dict().values():
        value.copy_(value.half().float())
    return model


def test_the_folder_answers_as_its_run(folders):
    run = load_run(folders.runs[1], "cpu")
    round_to_half(run.model)
    files = folders.folder / "reference.png", folders.folder / "main.png"
    model = lapse.load(folders.model, device="cpu")
    for is_guarded in (False, True):
        options = AnswerOptions(guarded=is_guarded)
        expected = RunModel(run).compare(*files, options=options).answer
        comparison = model.compare(*files, options=options)
        answer = comparison.answer
        assert (answer.text, answer.beam) == (expected.text, expected.beam)
        assert (answer.changes, answer.unsure) == (expected.changes, expected.unsure)
        assert answer.confidence == expected.confidence
        assert comparison.text == expected.text
        assert comparison.lines()[-1] == RESEARCH_USE == comparison.notice
        if not is_guarded:
            assert answer.status == "unguarded" and answer.text == answer.beam
            assert 0.0 < comparison.confidence["answer"] <= 1.0
            assert len(comparison.confidence) == 1 + len(comparison.changes)


def test_every_answer_says_what_the_model_was_trained_on_and_what_is_not_checked(folders):
    files = folders.folder / "reference.png", folders.folder / "main.png"
    lines = lapse.load(folders.model, device="cpu").compare(*files).lines()
    assert "Model trained on: nothing: random weights." in lines
    assert any("this model has no input check" in line for line in lines)
    assert any("was not chosen for this model" in line for line in lines)
    lines = RunModel(load_run(folders.runs[1], "cpu")).compare(*files).lines()
    assert "Model trained on: data dddddddd..., not described." in lines
    assert any("this model has no input check" in line for line in lines)


def test_the_same_file_twice_is_unchanged(folders):
    model = lapse.load(folders.model, device="cpu")
    comparison = model.compare(*[folders.folder / "main.png"] * 2)
    assert comparison.text == "nothing has changed." and not comparison.changes
    assert comparison.issues[0].code == "same-picture"


def test_unknown_questions_phrases_and_regions_are_refused(folders):
    model = lapse.load(folders.model, device="cpu")
    image = folders.folder / "main.png"
    with pytest.raises(ValueError, match="not trained on the question 'a dog'"):
        model.compare(image, image, "a dog")
    with pytest.raises(ValueError, match="'banana' names no finding"):
        model.ground(image, "banana")
    with pytest.raises(ValueError, match="no region 'banana'"):
        model.region(image, ["banana"])


def test_facts_of_the_caller_are_checked(folders):
    model = lapse.load(folders.model, device="cpu")
    files = folders.folder / "reference.png", folders.folder / "main.png"
    facts = FilmFacts(patient="A"), FilmFacts(patient="B")
    with pytest.raises(UnusualInputError, match="different patients"):
        model.compare(*files, options=AnswerOptions(facts=facts))
    with pytest.raises(UnusualInputError, match="different patients"):
        RunModel(load_run(folders.runs[1])).compare(*files, options=AnswerOptions(facts=facts))
    allowed = AnswerOptions(facts=facts, allow_unusual=True)
    lines = model.compare(*files, options=allowed).lines()
    assert any("warning: the images are of different patients" in line for line in lines)


def test_lines_give_the_confidence_of_each_change():
    edema, air = Change("edema", "added"), Change("pneumothorax", "missing")
    answer = Answer("...", (edema, air), (), {"answer": 0.5, "added edema": 0.75})
    assert answer.lines()[1:4] == [
        "  + edema (in the main image only), moderate agreement of the beam",
        "  - pneumothorax (in the reference image only; not proven resolved)",
        AGREEMENT_NOTE,
    ]


def test_lines_of_a_guarded_answer():
    edema, air = Change("edema", "added"), Change("pneumothorax", "missing")
    answer = Answer(
        "...",
        (edema,),
        (),
        {"added edema": 0.9, "missing pneumothorax": 0.1},
        status="changed",
        unsure=(air,),
        reasons=("why",),
        issues=(InputIssue("view", "refused", "not frontal"),),
        trained_on="drawings",
    )
    assert answer.lines() == [
        "warning: not frontal",
        "answer: ...",
        "  + edema (in the main image only), strong agreement of 6 readings",
        "  unsure: - pneumothorax (in the reference image only; not proven resolved), weak "
        "agreement of 6 readings",
        "  reason: why",
        AGREEMENT_NOTE,
        "Model trained on: drawings.",
        RESEARCH_USE,
    ]


def test_both_stages_share_one_encoder_in_memory_and_on_disk(folders):
    parts = read_folder(folders.model)
    assert parts.answerer.encoder is parts.captioner.encoder
    encoder = sum(p.numel() for p in parts.captioner.encoder.parameters())
    both = sum(
        p.numel() for m in (parts.captioner, parts.answerer) for p in m.parameters()
    )  # counts the encoder twice
    stored = (folders.model / "model.safetensors").stat().st_size
    assert 2 * (both - encoder) < stored < 2 * (both - encoder) + 20_000


def test_a_loaded_model_holds_its_weights_once(folders):
    """By default the hub's mixin keeps a deep copy of the arguments of a model."""
    model = load(folders.model, device="cpu")
    kinds = (type(model.captioner), type(model.answerer))

    def count_models() -> int:
        gc.collect()
        return sum(type(item) in kinds for item in gc.get_objects())

    before = count_models()
    another = load(folders.model, device="cpu")
    assert count_models() == before + 2 and another.image_size == model.image_size


def test_save_pretrained_writes_the_same_files(folders, tmp_path):
    model = Lapse.from_pretrained(folders.model)
    model.save_pretrained(tmp_path / "again")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (folders.model / name).read_bytes()


def test_a_group_can_read_every_file_of_a_model(folders, tmp_path):
    """safetensors writes files that only their owner can read."""
    load(folders.model, device="cpu").save_pretrained(tmp_path / "again")
    (tmp_path / "new").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "again").iterdir()}
    assert modes == {(tmp_path / "new").stat().st_mode}


def test_push_to_hub_uploads_the_three_files(folders, monkeypatch):
    """The upload itself is the library's work; this checks what it gets."""
    sent = {}
    monkeypatch.setattr(HfApi, "create_repo", lambda *_a, **_k: SimpleNamespace(repo_id="me/model"))

    def upload(_api, *, folder_path, **_kwargs):
        sent.update({path.name: path.stat().st_size for path in folder_path.iterdir()})

    monkeypatch.setattr(HfApi, "upload_folder", upload)
    load(folders.model, device="cpu").push_to_hub("me/model")
    assert sent == {path.name: path.stat().st_size for path in folders.model.iterdir()}


def test_every_method_returns_its_type(folders):
    model = load(folders.model, device="cpu")
    image = model.open(folders.folder / "main.png")
    assert isinstance(model.caption(image), str)
    assert isinstance(model.describe(image, Box(0.1, 0.1, 0.5, 0.5)), str)
    box = model.ground(image, "There is edema.")
    assert box is None or isinstance(box, Box)
    regions = model.region(image, ["left lung", "carina"], num_beams=1)
    assert [item.name for item in regions] == ["left lung", "carina"]
    with pytest.raises(ValueError, match="phrase is empty"):
        model.ground(image, " ")


def test_paths_pillow_images_and_arrays_give_the_same_image(folders):
    path = folders.folder / "main.png"
    expected = load_model_image(path, 32).pixels
    grey = np.asarray(Image.open(path))
    for source in (str(path), Image.open(path), grey, grey.astype(np.float32) / 255):
        other = load_model_image(source, 32).pixels
        assert (
            np.abs(other.astype(int) - expected.astype(int)).max() <= 1
        )  # bytes and floats round differently


@pytest.mark.parametrize("bits", [12, 16])
def test_sixteen_bits_in_memory_are_read_as_in_a_file(tmp_path, bits):
    draw = np.random.default_rng(bits)
    smooth = np.cumsum(draw.random((80, 60)), axis=0)
    grey = (smooth / smooth.max() * (2**bits - 1)).astype(np.uint16)
    path = tmp_path / "film.png"
    Image.fromarray(grey).save(path)
    expected = load_model_image(path, 32).pixels
    for source in (
        Image.fromarray(grey),  # mode I;16
        Image.fromarray(grey.astype(np.int32)),  # mode I
        grey,
        grey.astype(">u2"),
    ):
        assert np.array_equal(load_model_image(source, 32).pixels, expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("F", (4, 4)), "mode F has no defined grey scale"),
        (Image.fromarray(np.full((4, 4), 70000, np.int32)), "are 0 .. 65535"),
        (Image.fromarray(np.full((4, 4), -1, np.int32)), "are 0 .. 65535"),
    ],
)
def test_a_pillow_image_without_a_grey_scale_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        load_model_image(image, 32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4), np.int32), "uint8, uint16 or floats"),
        (np.full((4, 4), 1.5), "must be in"),
        (np.full((4, 4), np.nan), "must be in"),
    ],
)
def test_an_array_of_another_kind_is_refused(array, message):
    with pytest.raises(ValueError, match=message):
        load_model_image(array, 32)


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
def test_a_box_is_formatted_and_parsed_on_the_original(resize):
    picture = np.tile(np.arange(50, dtype=np.uint8), (100, 1))
    image = load_model_image(picture, 448, ImageProcessing(resize))
    box = Box(0.2, 0.1, 0.7, 0.9)
    parsed = image.parse_box(f"There is edema. {image.format_box(box)}")
    assert parsed.iou(box) > 0.98
    assert image.parse_box("[1, 2, 3") is None
    assert image.parse_box("[1, 2, 900, 901]") is None


def test_transformers_opens_the_exported_encoder_with_equal_outputs(folders, tmp_path):
    model = load(folders.model, device="cpu")
    model.export_encoder(tmp_path / "encoder")
    transformers_model = SiglipVisionModel.from_pretrained(tmp_path / "encoder").eval()
    pixels = normalise(torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8), 1)
    with torch.no_grad():
        expected = model.captioner.encoder(pixels)
        outputs = transformers_model(pixel_values=pixels).last_hidden_state
    assert torch.allclose(outputs, expected, atol=1e-5)


def test_runs_with_different_encoders_or_exchanged_stages_are_refused(folders, tmp_path):
    other = tiny_runs.write(tmp_path, same_encoder=False)
    with pytest.raises(ValueError, match="different encoders"):
        from_runs(*other)
    with pytest.raises(ValueError, match="is of stage 'diffvqa', expected 'pretrain'"):
        from_runs(folders.runs[1], folders.runs[0])


def test_the_processing_of_the_training_images_is_repeated(folders, tmp_path):
    """Recorded in run.json, then in config.json, and used by both ways to answer."""
    runs = tiny_runs.write(tmp_path)
    record_images(runs, {"resize": "letterbox", "intensity": "display"})
    Lapse(from_runs(*runs)).save_pretrained(tmp_path / "model")
    values = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (values["resize"], values["intensity"]) == ("letterbox", "display")
    processing = ImageProcessing("letterbox", "display")
    assert load_run(runs[1], "cpu").processing == processing
    model = load(tmp_path / "model", device="cpu")
    assert model.parts.processing == processing
    path = folders.folder / "main.png"
    letterboxed = read_at(path, model.image_size, processing).pixels
    np.testing.assert_array_equal(model.open(path).pixels, letterboxed)
    assert not letterboxed[0].any() and load(folders.model).open(path).pixels[0].any()
    answer = RunModel(round_to_half_run(runs[1])).compare(path, path)
    assert answer.text == model.compare(path, path).text


def round_to_half_run(folder):
    run = load_run(folder, "cpu")
    round_to_half(run.model)
    return run


def record_images(runs, images):
    for run in runs:
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**facts, "images": images}))


def test_runs_without_a_record_or_with_two_are_refused(tmp_path):
    runs = tiny_runs.write(tmp_path)
    record_images(runs[:1], {"resize": "letterbox", "intensity": "mimic"})
    with pytest.raises(ValueError, match="one model reads every image in one way"):
        from_runs(*runs)
    record_images(runs, {"resize": "squash"})
    for read in (lambda: from_runs(*runs), lambda: load_run(runs[1], "cpu")):
        with pytest.raises(ValueError, match="does not record how its images were processed"):
            read()


def test_a_model_folder_of_the_format_before_is_refused(folders, tmp_path):
    shutil.copytree(folders.model, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    values = json.loads(path.read_text())
    del values["intensity"]
    path.write_text(json.dumps({**values, "format": 2}))
    with pytest.raises(ValueError, match=r"reads format 3: use lapse 0\.2\.0, or export"):
        load(tmp_path / "model")


def test_every_flipped_bit_of_the_weights_is_refused(folders, tmp_path):
    weights = (folders.model / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_bytes((folders.model / "config.json").read_bytes())
    draw = np.random.default_rng(1)
    for position in draw.integers(0, len(weights), 40):
        damaged = bytearray(weights)
        damaged[position] ^= 1 << int(draw.integers(8))
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged, or of another model"):
            read_folder(tmp_path)


def test_only_the_digest_detects_a_flipped_bit(folders, tmp_path):
    """With a matching digest the damaged weights are read without an error."""
    weights = bytearray((folders.model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    values = json.loads((folders.model / "config.json").read_text())
    values["sha256"] = hashlib.sha256(weights).hexdigest()
    (tmp_path / "config.json").write_text(json.dumps(values))
    read_folder(tmp_path)


def test_hub_ids_without_a_revision_are_refused(tmp_path):
    with pytest.raises(ValueError, match="40 hex digits"):
        load("someone/model")
    with pytest.raises(ValueError, match="40 hex digits"):
        load("someone/model@main")
    with pytest.raises(ValueError, match="neither a model folder nor a hub id"):
        load(tmp_path / "nothing" / "here")
    with pytest.raises(ValueError, match=r"has no config\.json"):
        load(tmp_path)


def test_the_commands_export_and_answer(folders, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "model"
    done = run(app, ["export", *map(str, folders.runs), str(out), "--trained-on", "noise"])
    assert done.exit_code == 0, done.output
    assert "| trained on | noise |" in (out / "README.md").read_text()
    images = ["--reference", str(folders.folder / "reference.png")]
    images += ["--main", str(folders.folder / "main.png")]
    done = run(app, ["answer", str(out), *images])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == RESEARCH_USE


def test_the_command_answers_a_table_of_pairs(folders, tmp_path):
    table, out = tmp_path / "pairs.csv", tmp_path / "out.csv"
    films = [folders.folder / f"{name}.png" for name in ("reference", "main")]
    table.write_text(
        f"reference;main\n{films[0]};{films[1]}\nnone.png;{films[1]}\n", encoding="utf-8"
    )
    arguments = ["answer", str(folders.model), "--pairs", str(table)]
    done = CliRunner().invoke(app, [*arguments, "--csv", str(out)])
    assert done.exit_code == 0, done.output
    assert "2 pairs; 1 with an error" in done.output
    text = out.read_text("utf-8")
    assert "none.png" in text and text.count(RESEARCH_USE) == 2
    assert "nothing: random weights" in text
    for more in ([], ["--csv", str(out), "--json", "a.json"], ["--csv", str(table)]):
        refused = CliRunner().invoke(app, [*arguments, *more])
        assert isinstance(refused.exception, ValueError), more
        assert "--csv" in str(refused.exception)
    assert table.read_text("utf-8").startswith("reference")


def test_importing_the_package_does_not_wait_for_torch():
    code = "import lapse, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert lapse.load is load
    with pytest.raises(AttributeError, match="no attribute 'lead'"):
        _ = lapse.lead


def test_one_name_instead_of_a_list_is_refused(folders):
    with pytest.raises(ValueError, match=r"give a list of names, \['left lung'\]"):
        load(folders.model, device="cpu").region(folders.folder / "main.png", "left lung")
