"""Every pretraining method: resumed runs are bit-identical, and stage 2 takes the encoder."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

import tiny_store
from lapse.config import load_config
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.info import Origin
from lapse.data.store.store import open_store
from lapse.data.store.writer import write_store
from lapse.inference.predict import PredictOptions, predict
from lapse.models.backbones.pretrained_encoder import as_override, encoder_config_of
from lapse.models.backbones.siglip_format import siglip_config
from lapse.training.run_folder import load_run
from lapse.training.trainer import Callbacks, train

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
TEXT = "model.text={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 64}"
QFORMER = (
    "model.qformer={queries: 3, width: 16, layers: 2, heads: 2, mlp_width: 32, max_tokens: 64, "
    "dropout: 0.1}"
)
GPT2 = "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}"
DECODER = "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}"
LOOP = (
    "train.precision=fp32",
    "train.steps=4",
    "train.eval_every=4",
    "train.save_every=2",
    "train.eval_samples=8",
)
SMALL = {
    "pretrain-global-tiny": (TEXT, "train.batch_size=8"),
    "pretrain-regional-tiny": (TEXT, "train.batch_size=16"),
    "pretrain-blip2-tiny": (QFORMER, "model.embedding_width=8", "train.batch_size=8"),
    "pretrain-blip2-writer-tiny": (QFORMER, GPT2, "train.batch_size=8"),
    "pretrain-cappa-tiny": (DECODER, "model.adapter_width=16"),
    "pretrain-locca-tiny": (DECODER, "model.adapter_width=16"),
}
STAGE_TWO = (ENCODER, GPT2, *LOOP, "train.batch_size=8")


def config(preset, *more):
    return load_config(preset, [ENCODER, *SMALL[preset], *LOOP, *more])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("methods") / "store")


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """One finished run of each."""
    folder = tmp_path_factory.mktemp("runs")
    for preset in SMALL:
        train(config(preset), data, folder / preset)
    return folder


class CutError(Exception):
    """Ends a run between two steps."""


def cut_at(step):
    def on_step(done):
        if done == step:
            raise CutError

    return on_step


@pytest.mark.parametrize("preset", list(SMALL))
def test_cut_and_resumed_equals_straight(preset, data, runs, tmp_path):
    with pytest.raises(CutError):
        train(config(preset), data, tmp_path / "cut", callbacks=Callbacks(on_step=cut_at(3)))
    assert train(config(preset), data, tmp_path / "cut").resumed_from == 2
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, two = (
            (folder / "checkpoints" / "step-00000004" / name).read_bytes()
            for folder in (runs / preset, tmp_path / "cut")
        )
        assert one == two, name


@pytest.mark.parametrize("preset", list(SMALL))
def test_stage_two_keeps_the_encoder_of_every_method(preset, data, runs, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    run = load_config(
        "diffvqa-tiny", [*STAGE_TWO, "train.steps=1", f"init_encoder={runs / preset}"]
    )
    train(run, data, tmp_path / "two")
    assert f"encoder: from {runs / preset}, step 4" in caplog.messages
    first = load_run(runs / preset, "cpu").model.encoder.state_dict()
    second = load_run(tmp_path / "two", "cpu").model.encoder.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_blip2_logs_its_three_parts(runs):
    text = (runs / "pretrain-blip2-tiny" / "metrics.jsonl").read_text("utf-8")
    line = json.loads(text.splitlines()[-2])
    parts = [line[f"loss/{part}"] for part in ("contrast", "matching", "generation")]
    assert sum(parts) == pytest.approx(line["loss"], rel=1e-5) == line["loss/cap"]


def test_the_second_stage_of_blip2_starts_from_the_first(data, runs, tmp_path, caplog):
    """Encoder and Q-Former are loaded, whatever tokens either vocabulary keeps."""
    caplog.set_level(logging.INFO, logger="lapse")
    changes = [f"init_model={runs / 'pretrain-blip2-tiny'}", "data.max_records=3", "train.steps=1"]
    train(config("pretrain-blip2-writer-tiny", *changes), data, tmp_path / "run")
    assert f"encoder and qformer: from {runs / 'pretrain-blip2-tiny'}, step 4" in caplog.messages
    first = load_run(runs / "pretrain-blip2-tiny", "cpu").model
    second = load_run(tmp_path / "run", "cpu").model
    for name, value in second.encoder.state_dict().items():  # frozen: unchanged
        assert torch.equal(value, first.encoder.state_dict()[name])
    apart = (second.qformer.queries - first.qformer.queries).abs().max()
    assert 0 < apart < 2e-3  # one step away from the first stage
    with pytest.raises(ValueError, match=r"init_model .* is a run of 'global_contrastive'"):
        other = f"init_model={runs / 'pretrain-global-tiny'}"
        train(config("pretrain-blip2-writer-tiny", other), data, tmp_path / "wrong")


def test_predict_refuses_methods_without_a_decoder(data, runs):
    for preset in ("pretrain-global-tiny", "pretrain-regional-tiny"):
        with pytest.raises(ValueError, match="has no decoder"):
            list(predict(runs / preset, data, "test", PredictOptions(limit=2)))
    for preset in ("pretrain-blip2-tiny", "pretrain-blip2-writer-tiny", "pretrain-locca-tiny"):
        options = PredictOptions(limit=3, num_beams=1, max_new_tokens=4)
        assert len(list(predict(runs / preset, data, "test", options))) == 3


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """A store in which one training study has no region, and one has no report."""
    made = tiny_store.studies(6)
    train_ids = [index for index, study in enumerate(made) if study.split == "train"]
    made[train_ids[1]] = replace(made[train_ids[1]], regions=())
    made[train_ids[2]] = replace(made[train_ids[2]], report="", impression="")
    rows = [(study, tiny_store.pixels(study.image)) for study in made]
    origin = Origin("patient-safe", "0" * 16, "invented", "none", "random pixels")
    folder = tmp_path_factory.mktemp("gaps") / "store"
    write_store(folder, rows, [], size=tiny_store.SIDE, origin=origin)
    return folder


def test_all_methods_use_the_same_images(gaps, caplog):
    """Every method leaves out a study without report or region, and counts it."""
    caplog.set_level(logging.INFO, logger="lapse")

    def used(preset, *more):
        changed = load_config(preset, ["model.encoder.image_size=32", *more])
        dataset = read_training_data(open_store(gaps), changed).stream.dataset
        return [record.id for record in map(dataset.record, range(len(dataset)))]

    expected = used("pretrain-tiny")
    assert len(expected) == 6
    for preset in SMALL:
        caplog.clear()
        assert used(preset) == expected, preset
        assert "train: 1 records have no cap sample and are left out" in caplog.messages
        assert "train: 1 records have no gcap sample and are left out" in caplog.messages
    # Without the guard captions alone would see a study that no region describes.
    assert len(used("pretrain-cappa-tiny", "data.require_tasks=[]")) == 7


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    torch.manual_seed(0)
    sizes = load_config("diffvqa-tiny", [ENCODER]).model_config_object().encoder
    values = {k: v for k, v in siglip_config(sizes).items() if k != "architectures"}
    values |= {"num_channels": 3, "image_size": 48}
    folder = tmp_path_factory.mktemp("siglip")
    SiglipVisionModel(SiglipVisionConfig(**values)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("preset", ["pretrain-global-tiny", "diffvqa-tiny"])
def test_a_published_encoder_starts_either_stage_and_is_not_needed_again(
    preset, data, siglip, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="lapse")
    changes = [ENCODER, *SMALL.get(preset, STAGE_TWO[1:]), *LOOP, f"init_encoder={siglip}"]
    train(load_config(preset, changes), data, tmp_path / "run")
    logged = [line for line in caplog.messages if line.startswith("encoder: ")]
    assert logged == [
        f"encoder: from {siglip}",
        "encoder: its 3 colour channels are summed for grey images (equal outputs)",
        "encoder: positions interpolated from 3 x 3 to 2 x 2 (bicubic)",
    ]
    moved = siglip.rename(siglip.with_name("moved"))
    try:
        assert load_run(tmp_path / "run", "cpu").step == 4
    finally:
        moved.rename(siglip)


def test_an_encoder_of_transformers_goes_through_both_stages(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    dino = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=16,
                        image_size=32)  # fmt: skip
    Dinov2Model(dino).save_pretrained(tmp_path / "dino")
    sizes = as_override(encoder_config_of(str(tmp_path / "dino"), 32))
    first = [TEXT, *LOOP, "train.batch_size=8", sizes]
    one = load_config("pretrain-global-tiny", [*first, f"init_encoder={tmp_path / 'dino'}"])
    train(one, data, tmp_path / "one")
    assert f"encoder: from {tmp_path / 'dino'} (dinov2 of transformers)" in caplog.messages
    (tmp_path / "dino").rename(tmp_path / "gone")
    two = load_config("diffvqa-tiny", [GPT2, *LOOP, "train.batch_size=8", sizes,
                                       f"init_encoder={tmp_path / 'one'}"])  # fmt: skip
    train(two, data, tmp_path / "two")
    assert f"encoder: from {tmp_path / 'one'}, step 4" in caplog.messages
    options = PredictOptions(limit=2, num_beams=1, max_new_tokens=4)
    assert len(list(predict(tmp_path / "two", data, "test", options))) == 2
