"""Image-blind baselines as a system: it trains, predicts and is scored like the others.

    training answers --> a fair sample of them (kept in the checkpoint) --> constant | random

A sample is answered from the answers of its own task (a phrase; a phrase and a box). "constant"
is the kept answer with the highest score when it is given to every training question
(`metrics.blind_baselines.best_constant`); "random" draws a kept answer for each question. The
training loss, which gives the run a curve, is that of the frequency of each token in the answers.
With several ranks, the answers of rank 0 are kept.

Text-only GPT-2, main image only and reference image only are `prefix_lm` with `model.images`
none, main, reference: the same parameters with fewer images.
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
from lapse.data.tasks.diff_vqa import TRAINED_ON
from lapse.metrics.blind_baselines import best_constant, random_answer
from lapse.models.layers.padding import answer_mask, prompt_and_answer_ids
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import token_losses


class BlindBaseline(nn.Module):
    """Training answers and the frequency of their tokens.

    Weights: one number per token, normal with deviation 0.02.

    Args:
        config: strategy and the number of answers to keep.
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
        self._constants: dict[str, tuple[str, int]] = {}  # task -> answer, and `seen` at that time

    def weight(self, batch: Batch) -> float:
        """What the mean in "loss" is over: the number of answer tokens."""
        return float(answer_mask(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the answer tokens under their frequency; keeps answers in training."""
        if self.training:
            self._keep_answers(batch)
        row, position = answer_mask(batch).nonzero(as_tuple=True)
        targets = self.frequencies.rows(batch.tokens[row, position])
        hidden = self.frequencies.weight.new_ones(len(row), 1)
        losses = token_losses(hidden, self.frequencies.weight, targets, row)
        return losses.by_task(batch.samples)

    def answer(self, batch: Batch, _: GenerationConfig) -> list[str]:
        """The constant, or an answer drawn for each sample by its id.

        Raises:
            ValueError: no training answer of a sample's task was kept.
        """
        tasks = [sample.task for sample in batch.samples]
        answers = {
            task: self.kept_answers(TRAINED_ON.get(task, task)) for task in dict.fromkeys(tasks)
        }
        for task, texts in answers.items():
            if not texts:
                raise ValueError(
                    f"the blind system has seen no training answer of {task}: train it first, with "
                    f"{task} in data.tasks"
                )
        if self.config.strategy == "random":
            return [random_answer(answers[s.task], s.id, 0) for s in batch.samples]
        seen = int(self.seen)
        for task, texts in answers.items():
            if self._constants.get(task, ("", -1))[1] != seen:
                self._constants[task] = (best_constant(texts), seen)
        return [self._constants[task][0] for task in tasks]

    def kept_answers(self, task: str) -> list[str]:
        """The training answers of a task that are kept, repeated as often as they occurred."""
        used = min(int(self.seen), self.config.max_answers)
        of_task = (self.tasks[:used] == _task_number(task)).nonzero()[:, 0]
        rows = zip(self.answers[of_task].tolist(), self.sizes[of_task].tolist(), strict=True)
        return [self.tokenizer.decode(ids[:size]).strip() for ids, size in rows]

    def _keep_answers(self, batch: Batch) -> None:
        for sample, (_, ids) in zip(batch.samples, prompt_and_answer_ids(batch), strict=True):
            index = count = int(self.seen)
            if count >= self.config.max_answers:  # reservoir sampling: fair to all answers so far
                index = derive_index(count + 1, "reservoir", count)
            self.seen += 1
            if index < self.config.max_answers:
                answer = [token for token in ids if token != self.tokenizer.end]
                answer = answer[: self.config.max_answer]
                self.answers[index, : len(answer)] = self.answers.new_tensor(answer)
                self.sizes[index] = len(answer)
                self.tasks[index] = _task_number(sample.task)


def _task_number(task: str) -> int:
    """The number that stores the name of a task in a buffer."""
    return zlib.crc32(task.encode())
