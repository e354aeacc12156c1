"""Counted memory against the tensors that autograd keeps."""

import pytest
import torch

from benchmarks import inputs
from benchmarks import training_memory as memory
from lapse.config import LanguageModelConfig, PrefixLMConfig, load_config
from lapse.models.layers import transformer
from lapse.models.pretraining.captioner import Captioner
from lapse.models.vqa.prefix_lm import PrefixLM

TOKENIZER = inputs.small_tokenizer(memory.SMALL_VOCABULARY)
IDS = range(memory.SMALL_VOCABULARY - 1)


def kept_bytes(model, batch, is_half):
    """Bytes of the distinct tensors that the backward pass reads, without weights and batch."""
    known = [*model.parameters(), *model.buffers()]
    known += [v for name in batch.__dataclass_fields__
              if isinstance(v := getattr(batch, name), torch.Tensor)]  # fmt: skip
    ignored = {tensor.untyped_storage().data_ptr() for tensor in known}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in ignored:
            kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half),
    ):
        loss = model.loss(batch)["loss"]
    assert loss.requires_grad
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad and p.dim() > 1)
    return sum(s.nbytes() for s in kept.values()) - (2 * weights if is_half else 0)


@pytest.fixture(autouse=True)
def _fused(monkeypatch):
    monkeypatch.setattr(transformer, "PLAIN_KEYS", 0)


@pytest.mark.parametrize("is_half", [False, True])
def test_activations_of_a_pretraining_step(is_half):
    model = Captioner(memory.SMALL, TOKENIZER)
    batch = inputs.captions(256, 2, memory.SMALL_TEXTS, IDS)
    h = 2 if is_half else 4
    expected = memory.captioner_activations(memory.SMALL, 2, memory.SMALL_TEXTS, h)
    assert kept_bytes(model, batch, is_half) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("is_half", [False, True])
def test_activations_of_a_fine_tuning_step(is_half):
    """Without dropout, for which a CPU has no fused attention."""
    language = LanguageModelConfig(width=128, layers=3, heads=4, max_positions=64, dropout=0.0)
    sizes = PrefixLMConfig(encoder=memory.SMALL.encoder, language_model=language)
    batch = inputs.pairs(256, 1, IDS, question=8, answer=40)
    expected = memory.prefix_lm_activations(sizes, 1, 48, 2 if is_half else 4)
    assert kept_bytes(PrefixLM(sizes, TOKENIZER).train(), batch, is_half) == pytest.approx(
        expected, rel=0.05
    )


def test_the_sizes_of_the_paper():
    stage_1, stage_2 = (memory.step_memory(load_config(name)) for name in memory.PRESETS)
    assert stage_1.optimizer == 2 * stage_1.gradients > 5e9
    assert stage_2.gradients < stage_1.gradients
    rows = memory.memory_table().splitlines()[2:]
    assert [row.split()[1] for row in rows] == ["pretrain-lapse", "pretrain-lapse", "diffvqa-lapse"]
    with pytest.raises(ValueError, match="the memory of captioner"):
        memory.step_memory(load_config("pretrain-global"))
