"""`train.compile`: blocks without graph breaks, equal losses and gradients, equal checkpoints."""

import pytest
import torch
from torch._inductor import config as inductor

import tiny_model
import tiny_models
import tiny_store
from lapse.config import load_config
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint
from lapse.training.compilation import compile_blocks
from lapse.training.trainer import Callbacks, train
from lapse.training.weight_files import read_tensors

# Torch reads `.grad` of other tensors and hides the warning from users, but not from pytest.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]
WITH_BLOCKS = [key for key in tiny_models.TINY if key[1] != "blind"]
PAPER = [("pretraining", "captioner"), ("vqa", "prefix_lm")]


def losses_and_gradients(model, batch):
    torch.manual_seed(0)
    model.train().zero_grad()
    losses = model.loss(batch)
    losses["loss"].backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return losses["loss"].detach(), gradients


@pytest.mark.parametrize(
    ("table", "name"),
    [*PAPER, *(pytest.param(*k, marks=pytest.mark.slow) for k in WITH_BLOCKS if k not in PAPER)],
)
def test_blocks_compile_without_graph_breaks(table, name):
    """`fullgraph=True` turns a graph break into an error; the names of the state do not change."""
    torch.compiler.reset()
    _, model, batch = tiny_models.build(table, name)
    names, expected = list(model.state_dict()), losses_and_gradients(model, batch)
    assert compile_blocks(model, "eager", fullgraph=True) > 0
    assert list(model.state_dict()) == names
    loss, gradients = losses_and_gradients(model, batch)
    assert loss == expected[0] and gradients.keys() == expected[1].keys()
    for key, gradient in gradients.items():
        assert torch.equal(gradient, expected[1][key]), key


class StopError(Exception):
    """Ends a run in this process as a kill would."""


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_run_resumes_and_its_checkpoint_opens_without_compilation(backend, tmp_path):
    data = tiny_store.write(tmp_path / "store")
    preset, changes = tiny_models.TINY["pretraining", "captioner"]
    lines = ["train.steps=6", "train.save_every=3", "train.batch_size=4", "train.precision=fp32"]
    lines += ["train.num_workers=1", "train.eval_samples=4", "data.max_tokens=48"]
    plain = load_config(preset, [*changes, *lines])
    compiled = load_config(preset, [*changes, *lines, f"train.compile={backend}"])

    def stop(step):
        if step == 3:
            raise StopError

    def weights(name):
        return read_tensors(latest_valid_checkpoint(tmp_path / name).checkpoint.folder / MODEL)

    torch.compiler.reset()
    train(plain, data, tmp_path / "plain")
    train(compiled, data, tmp_path / "compiled")
    with pytest.raises(StopError):
        train(compiled, data, tmp_path / "resumed", callbacks=Callbacks(on_step=stop))
    train(compiled, data, tmp_path / "resumed")
    expected = weights("plain")
    for name in ("compiled", "resumed"):
        assert weights(name).keys() == expected.keys()
        for key, value in weights(name).items():
            torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-4)
    if backend == "aot_eager":
        for key, value in weights("resumed").items():
            assert torch.equal(value, weights("compiled")[key])
    with pytest.raises(ValueError, match="compile is 'none', was"):
        train(plain, data, tmp_path / "compiled")


def test_a_backend_that_does_not_work_is_one_sentence_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch.compiler.reset()
    data = tiny_store.write(tmp_path / "store")
    config = tiny_model.config(train__compile="inductor")
    with (
        inductor.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ValueError, match=r"^train\.compile=inductor does not work .*none$"),
    ):
        train(config, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()
