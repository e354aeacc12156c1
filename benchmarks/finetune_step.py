"""Row: a step of stage 2 on cached features, against transformers with a live frozen encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import material, operations
from benchmarks.peers import gpt2, siglip, step
from benchmarks.row import Check, Row, alternate
from lapse.config import EncoderConfig, LanguageModelConfig, OptimConfig, PrefixLMConfig
from lapse.data.loading.batch import Batch, normalise
from lapse.models.vqa.prefix_lm import PrefixLM
from lapse.training.optim import build_optimizer

# Encoder, language model and output layer keep the paper's proportions of operations.
SIZES = PrefixLMConfig(
    encoder=EncoderConfig(image_size=224, width=288, layers=8, heads=4, mlp_width=1076, channels=1),
    language_model=LanguageModelConfig(width=256, layers=6, heads=4, max_positions=64, dropout=0.0),
)
PAIRS, VOCABULARY = 2, 3700
OPTIM = OptimConfig(learning_rate=1e-4, warmup_steps=0)
TOLERANCE = 1e-5


class Peer(nn.Module):
    """SigLIP, then GPT-2 of transformers, behind the same temporal embeddings and adapter."""

    def __init__(self, ours: PrefixLM) -> None:
        super().__init__()
        assert ours.visual_positions is not None
        table = torch.cat([ours.visual_positions, ours.language_model.positions]).detach()
        self.encoder = siglip(ours.encoder).requires_grad_(False).eval()
        self.temporal = nn.Parameter(ours.temporal.detach().clone())
        self.adapter = copy.deepcopy(ours.adapter)
        self.model = gpt2(ours.language_model, table)

    def loss(self, batch: Batch, rows: Tensor) -> Tensor:
        """Label-smoothed cross-entropy of the answers, logits at every position."""
        with torch.no_grad():
            pixels = normalise(batch.images, 1)
            seen = self.encoder(pixel_values=pixels).last_hidden_state
        parts = [
            self.adapter(seen[batch.image_index[:, slot]] + self.temporal[slot]) for slot in (0, 1)
        ]
        text = self.model.get_input_embeddings()(rows)
        joined = torch.cat([*parts, text], dim=1)
        logits = self.model(inputs_embeds=joined, use_cache=False).logits
        wanted = torch.full(logits.shape[:2], -100)
        wanted[:, -rows.shape[1] :] = torch.where(batch.loss_mask, rows, -100)
        return F.cross_entropy(
            logits[:, :-1].flatten(0, 1),
            wanted[:, 1:].flatten(),
            ignore_index=-100,
            label_smoothing=SIZES.label_smoothing,
        )


def run(say: Callable[[str], None]) -> Row:
    """Time of a step and losses over three steps."""
    torch.manual_seed(0)
    tokenizer = material.small_tokenizer(VOCABULARY)
    model = PrefixLM(SIZES, tokenizer).train()
    question, answer = material.QUESTION, material.ANSWER
    batch = material.pairs(224, PAIRS, tokenizer.kept or (), question=question, answer=answer)
    rows = model.language_model.tokens.rows(batch.tokens)
    peer = Peer(model)
    cached = replace(batch, features=model.encode(batch.images))
    optimizers = build_optimizer(model, OPTIM), build_optimizer(peer, OPTIM)

    def ours_cached() -> float:
        return step(optimizers[0], model.loss(cached)["loss"])

    def theirs() -> float:
        return step(optimizers[1], peer.loss(batch, rows))

    distance = max(abs(ours_cached() - theirs()) for _ in range(3))
    say("finetune_step: alternating")
    ratios = alternate(ours_cached, theirs)
    counts = [
        operations.finetuning_step(
            SIZES,
            [question + answer] * PAIRS,
            targets,
            vocabulary=VOCABULARY,
            is_cached=is_cached,
            is_skipping=False,
        )
        for targets, is_cached in (
            (PAIRS * answer, True),
            (PAIRS * (2 * 256 + question + answer), False),
        )
    ]
    return Row(
        "finetune_step",
        "cached features, logits at the answers",
        "transformers SigLIP (frozen, live) and GPT-2, same weights",
        (
            ratios.check("time of a step", 1.6),
            Check("difference of the loss, 3 steps", distance, TOLERANCE, is_at_least=False),
        ),
        f"{counts[0] / 1e9:.0f} G operations a step, the peer's way {counts[1] / 1e9:.0f} G "
        f"({counts[1] / counts[0]:.2f}x)",
        ("reading the cache is not in this row: at the paper's size 2.36 MB an image in bf16",),
    )
