"""The smallest trainable model, for tests of the trainer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lapse.config import Config, GenerationConfig, RunConfig, check_config
from lapse.core import registry
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise


class TinyEncoder(Config):
    """Only the size of the images."""

    image_size: int = 32


class TinyConfig(Config):
    """Sizes; `poison` is the id of a sample whose loss is nan."""

    width: int = 16
    dropout: float = 0.1
    poison: str = ""
    encoder: TinyEncoder = TinyEncoder()


class Tiny(nn.Module):
    """Token t from token t - 1 and the mean image: a bigram model with images."""

    config_class = TinyConfig

    def __init__(self, config: TinyConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.poison, self.tokenizer = config.poison, tokenizer
        kept = tokenizer.kept or tuple(range(tokenizer.size))
        rows = torch.full((tokenizer.size,), -1)
        rows[torch.tensor(kept)] = torch.arange(len(kept))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("ids", torch.tensor(kept), persistent=False)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(config.encoder.image_size**2, 16))
        self.project = nn.Linear(16, config.width)
        self.words = nn.Embedding(len(kept), config.width)
        self.mask = nn.Parameter(torch.zeros(config.width))
        self.norm = nn.LayerNorm(config.width)
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, len(kept), bias=False)
        self.head.weight = self.words.weight

    def weight(self, batch: Batch) -> float:
        return float(batch.loss_mask.sum())

    def logits(self, batch: Batch) -> Tensor:  # [B, T, V], of the token at each position
        seen = self.project(self.encoder(normalise(batch.images, 1)))[batch.image_index].mean(1)
        before = self.words(self.rows[batch.tokens[:, :-1]])
        before = nn.functional.pad(before, (0, 0, 1, 0))
        if bool(batch.parallel.any()):
            before = torch.where(batch.parallel[:, None, None], self.mask, before)
        return self.head(self.drop(self.norm(before + seen[:, None])))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits, mask = self.logits(batch), batch.loss_mask
        each = nn.functional.cross_entropy(
            logits[mask], self.rows[batch.tokens[mask]], reduction="none"
        )
        owner = mask.nonzero()[:, 0].tolist()
        if self.poison:
            bad = [batch.samples[row].id == self.poison for row in owner]
            each = torch.where(torch.tensor(bad), torch.nan, each)
        losses = {"loss": each.mean()}
        for task in dict.fromkeys(sample.task for sample in batch.samples):
            chosen = [batch.samples[row].task == task for row in owner]
            losses[f"loss/{task}"] = each[torch.tensor(chosen)].mean()
        return losses

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        best = self.ids[self.logits(batch).argmax(-1)]
        ends = zip(best.tolist(), batch.prompt_lengths.tolist(), strict=True)
        return [self.tokenizer.decode(row[end : end + 3]) for row, end in ends]

    def load_encoder(self, tensors: dict[str, Tensor]) -> None:
        self.encoder.load_state_dict(tensors)


class Untrainable(nn.Linear):
    """A module without a loss."""

    config_class = TinyConfig

    def __init__(self, config: TinyConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.width, tokenizer.size)


def config(stage: str = "pretrain", **changes: Any) -> RunConfig:
    """A run of eight steps; `changes` are "group__key" = value."""
    registry.allow("tiny_model:Tiny")  # as a user does with --allow
    values: dict[str, Any] = {
        "name": "tiny",
        "stage": stage,
        "model_type": "tiny_model:Tiny",
        "model": {},
        "data": {
            "tasks": ["cap", "aref", "gcap", "caref"] if stage == "pretrain" else ["diff_vqa"],
            "max_tokens": 96,
            "vocabulary": "trimmed",
        },
        "optim": {"learning_rate": 0.01, "warmup_steps": 2},
        "train": {
            "precision": "fp32",
            "batch_size": 16 if stage == "pretrain" else 6,
            "steps": 8,
            "save_every": 2,
            "eval_every": 4,
            "eval_samples": 16,
            "log_every": 3,
        },
    }
    for name, value in changes.items():
        group, _, key = name.rpartition("__")
        (values[group] if group else values)[key] = value
    return check_config(values)
