"""On a CUDA device: every model computes what it computes on the CPU, trains, resumes and answers.

Run with `pytest -m gpu tests/integration/test_gpu.py`.
"""

import json

import pytest
import torch

import lapse
import tiny_models
from lapse.config import load_config
from lapse.core import registry
from lapse.data.prepare.options import PrepareOptions
from lapse.data.prepare.prepare import find_roots, prepare
from lapse.data.store.store import open_store
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import ModelImage
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.run_folder import load_run
from lapse.training.trainer import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
MODELS = [(table, name) for table in ("pretraining", "vqa") for name in registry.names(table)]
STEPS = ["train.steps=6", "train.log_every=1", "train.eval_every=3", "train.save_every=3"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    simulate(folder / "raw", SimulateConfig(patients=60, seed=11, size=160))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


@pytest.fixture(autouse=True)
def _exact_products():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_a_batch_moves_to_the_device_from_pinned_memory():
    """Only copies from pinned memory are asynchronous."""
    _, _, batch = tiny_models.build("vqa", "prefix_lm")
    pinned = batch.pin_memory()
    assert pinned.images.is_pinned() and pinned.lengths.is_pinned()
    with torch.profiler.profile() as profiler:
        moved = batch.to("cuda")
    names = [event.name for event in profiler.events()]
    assert any("Pinned -> Device" in name for name in names)
    assert not any("Pageable -> Device" in name for name in names)
    assert moved.tokens.cpu().equal(batch.tokens) and moved.to("cuda").images is moved.images


@pytest.mark.parametrize(("table", "name"), MODELS)
def test_losses_and_gradients_equal_those_of_the_cpu(table, name):
    _, model, batch = tiny_models.build(table, name)
    model.eval()
    losses, gradients = {}, {}
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        parts = model.loss(batch.to(torch.device(device)))
        parts["loss"].backward()
        losses[device] = {key: value.item() for key, value in parts.items()}
        gradients[device] = {
            key: parameter.grad.cpu().clone()
            for key, parameter in model.named_parameters()
            if parameter.grad is not None
        }
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-4, abs=1e-5)
    for key, gradient in gradients["cpu"].items():
        torch.testing.assert_close(gradients["cuda"][key], gradient, rtol=1e-3, atol=1e-5)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        low = model.loss(batch.to(torch.device("cuda")))["loss"]
    assert low.item() == pytest.approx(losses["cpu"]["loss"], rel=0.05)


@pytest.mark.parametrize(
    "preset",
    [
        "pretrain-tiny",
        "pretrain-global-tiny",
        "pretrain-regional-tiny",
        "pretrain-blip2-tiny",
        "diffvqa-tiny",
        "diffvqa-blip2-tiny",
        "diffvqa-ekaid-tiny",
        "diffvqa-plural-tiny",
        "diffvqa-real-tiny",
        "diffvqa-rgag-tiny",
    ],
)
def test_runs_train_resume_and_answer(preset, store, tmp_path):
    config = load_config(preset, [*STEPS, "train.eval_samples=16", "train.batch_size=32"])
    train(config, store, tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["step"] == 6
    assert train(config, store, tmp_path / "run").resumed_from == 6
    run = load_run(tmp_path / "run")
    assert run.device.type == "cuda"
    if config.stage == "diffvqa":
        assert len(list(predict(run, store, "test", PredictOptions(limit=8)))) == 8


def test_cached_features_train(store, tmp_path):
    config = load_config("diffvqa-tiny", [*STEPS, "data.cache_features=bf16"])
    train(config, store, tmp_path / "run")
    assert (store.parent / "store.features").is_dir()


def test_the_packaged_model_answers_as_on_the_cpu(store):
    data = open_store(store)
    pairs = [pair for pair in data.pairs if pair.category == "difference"][:20]
    answers = {}
    for device in ("cpu", "cuda"):
        model = lapse.load(device=device)
        answers[device] = [
            model.compare(
                *(ModelImage.of_store(data.pixels(s.image)) for s in (pair.reference, pair.main))
            ).text
            for pair in pairs
        ]
    same = sum(left == right for left, right in zip(answers["cpu"], answers["cuda"], strict=True))
    assert same >= 19  # one near tie may fall the other way
