"""Blind rows as a system: it trains, predicts and is scored like the others, and sees nothing.

    training answers --> a fair sample of them (kept in the checkpoint) --> constant | random

A sample is answered with what was met in its own task (a phrase; a phrase and a box). The
constant is the remembered answer that is worth most when it is given to every training question
(`metrics.blind.best_constant`); "random" draws a remembered answer for each question. What the
loop trains beside it, so that there is a curve, is how often each token stands in an answer. Over
several ranks, what the first one met is kept.

Text-only GPT-2, main image only and reference image only are `prefix_lm` with `model.images`
none, main, reference: the image is dropped, the parameters are the same.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import BlindConfig
from lapse.core.seeding import derive_index
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.metrics.blind_baselines import best_constant, random_answer
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import token_losses


class BlindBaseline(nn.Module):
    """Training answers and the frequency of their tokens.

    Weights: one number per token, normal with deviation 0.02.

    Args:
        config: what it says and how much it remembers.
        tokenizer: of the run.
    """

    config_class = BlindConfig
    answers: Tensor
    sizes: Tensor
    tasks: Tensor
    seen: Tensor

    def __init__(self, config: BlindConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.frequencies = TokenEmbedding(1, tokenizer.kept)
        shape = (config.max_answers, config.max_answer)
        self.register_buffer("answers", torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("sizes", torch.zeros(config.max_answers, dtype=torch.int32))
        self.register_buffer("tasks", torch.zeros(config.max_answers, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self._constants: dict[str, tuple[str, int]] = {}  # task -> answer, and seen by then

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float(_targets(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the answers' tokens by their frequency; remembers when training."""
        if self.training:
            self._remember(batch)
        row, place = _targets(batch).nonzero(as_tuple=True)
        wanted = self.frequencies.rows(batch.tokens[row, place])
        logits = self.frequencies.logits(self.frequencies.weight.new_ones(len(row), 1))
        names = [sample.task for sample in batch.samples]
        return token_losses(logits, wanted, row, 0.0).named(names)

    def answer(self, batch: Batch, _: GenerationConfig) -> list[str]:
        """The constant, or an answer drawn for each sample by its id.

        Raises:
            ValueError: nothing was remembered of a sample's task.
        """
        names = [sample.task for sample in batch.samples]
        known = {name: self.remembered(name) for name in dict.fromkeys(names)}
        for name, answers in known.items():
            if not answers:
                raise ValueError(
                    f"the blind system has seen no training answer of {name}: train it first, with "
                    f"{name} in data.tasks"
                )
        if self.config.strategy == "random":
            return [random_answer(known[row.task], row.id, 0) for row in batch.samples]
        seen = int(self.seen)
        for name, answers in known.items():
            if self._constants.get(name, ("", -1))[1] != seen:
                self._constants[name] = (best_constant(answers), seen)
        return [self._constants[name][0] for name in names]

    def remembered(self, task: str) -> list[str]:
        """The training answers of a task that are kept, each as often as it was met."""
        used = min(int(self.seen), self.config.max_answers)
        own = (self.tasks[:used] == _number(task)).nonzero()[:, 0]
        rows = zip(self.answers[own].tolist(), self.sizes[own].tolist(), strict=True)
        return [self.tokenizer.decode(ids[:size]).strip() for ids, size in rows]

    def _remember(self, batch: Batch) -> None:
        starts, stops = batch.prompt_lengths.tolist(), batch.lengths.tolist()
        rows = zip(batch.samples, batch.tokens.tolist(), starts, stops, strict=True)
        for sample, ids, start, stop in rows:
            count = int(self.seen)
            place = count
            if count >= self.config.max_answers:  # a fair sample of all that was seen (reservoir)
                place = derive_index(count + 1, "reservoir", count)
            self.seen += 1
            if place < self.config.max_answers:
                answer = [token for token in ids[start:stop] if token != self.tokenizer.end]
                answer = answer[: self.config.max_answer]
                self.answers[place, : len(answer)] = self.answers.new_tensor(answer)
                self.sizes[place] = len(answer)
                self.tasks[place] = _number(sample.task)


def _number(task: str) -> int:
    """What a task is remembered by."""
    return zlib.crc32(task.encode())


def _targets(batch: Batch) -> Tensor:
    index = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return batch.loss_mask & (index >= batch.prompt_lengths[:, None])
