"""A model that generates text from images: losses, answers, candidates and probabilities.

A subclass defines the losses of its target tokens and its beam search. Everything that training
and inference call is derived from the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.core.types import Candidate
from lapse.data.loading.batch import Batch
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.padding import answer_mask
from lapse.models.layers.token_losses import TokenLosses


class GenerativeModel(EncoderModel, ABC):
    """An encoder and a decoder; the targets are the tokens of the answers."""

    @abstractmethod
    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every target token."""

    @abstractmethod
    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The finished texts of beam search for each row, best first, in GPT-2 ids."""

    def target_mask(self, batch: Batch) -> Tensor:
        """Which tokens are targets: [B, T] bool."""
        return answer_mask(batch)

    def check_pairs(self, batch: Batch) -> None:
        """Refuse rows with one image.

        Raises:
            ValueError: a row without two images.
        """
        num_images = batch.image_index.shape[1]
        if num_images != 2:
            raise ValueError(
                f"{type(self).__name__} reads two images for every question, got {num_images}: use "
                "a task of two images, such as diff_vqa, diff_vqa_boxes or medical_vqa_boxes"
            )

    def weight(self, batch: Batch) -> float:
        """What the mean in "loss" is over: the number of target tokens."""
        return float(self.target_mask(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy per target token.

        Returns:
            "loss", and detached "nll" and "loss/<task>" (both without label smoothing).
        """
        return self.token_losses(batch).by_task(batch.samples)

    def answer(self, batch: Batch, generation: GenerationConfig) -> list[str]:
        """Answer each row by beam search: the text of the first candidate."""
        return [candidates[0].text for candidates in self.candidates(batch, generation)]

    @torch.no_grad()
    def candidates(self, batch: Batch, generation: GenerationConfig) -> list[list[Candidate]]:
        """The texts that beam search finished for each row, best first.

        A text ends where the decoder's positions end, whatever the other rows need.
        """
        decode = self.tokenizer.decode
        return [
            [Candidate(decode(text.tokens), text.log_probability, text.length) for text in texts]
            for texts in self.hypotheses(batch, generation)
        ]

    @torch.no_grad()
    def log_probability(self, batch: Batch) -> Tensor:
        """Log-probability of each row's answer after its prompt, end token included: [B], nats."""
        answers_only = replace(
            batch, loss_mask=answer_mask(batch), parallel=torch.zeros_like(batch.parallel)
        )
        return self.token_losses(answers_only).log_probability(len(batch))
