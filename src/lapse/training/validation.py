"""Losses on the validation split during training, and whether the model uses its images.

A text prior alone lowers every loss for thousands of steps. So each validation row is evaluated
twice, with its images and with those of another patient:

    image_gap/<task> = loss with other images - loss with its images     (per target token)

A gap of zero means that the model ignores its images, whatever the loss is.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from lapse.config import RunConfig
from lapse.data.loading.batch import Batch, with_features
from lapse.data.loading.batch_stream import fixed_batches
from lapse.data.loading.training_data import TrainingData
from lapse.models.interface import TrainableModel
from lapse.training.distributed import DistributedContext, autocast


class Validator:
    """Evaluates a model on the same validation rows of each task every time.

    Args:
        data: its validation rows and pixels are read.
        config: the run.
    """

    def __init__(self, data: TrainingData, config: RunConfig) -> None:
        self.rows = data.validation
        self.pixels, self.features = data.stream.pixels, data.stream.features
        self.config = config

    @torch.no_grad()
    def evaluate(self, model: TrainableModel, distributed: DistributedContext) -> dict[str, float]:
        """Mean loss per target token: "validate/<task>", "image_gap/<task>", "validate/loss".

        The rows are split between the ranks. The model is in training mode afterwards.
        """
        model.eval()
        tasks = list(self.rows)
        sums = [value for task in tasks for value in self.loss_sums(model, distributed, task)]
        totals = distributed.sum(sums)
        model.train()
        losses = {}
        for index, task in enumerate(tasks):
            loss, weight, gap, gap_weight = totals[4 * index : 4 * index + 4]
            losses[f"validate/{task}"] = loss / weight
            if gap_weight:
                losses[f"image_gap/{task}"] = gap / gap_weight
        return {**losses, "validate/loss": sum(totals[::4]) / sum(totals[1::4])}

    def loss_sums(
        self, model: TrainableModel, distributed: DistributedContext, task: str
    ) -> tuple[float, float, float, float]:
        """Sums over the rows of this rank: loss, its weight, image gap, and the gap's weight."""
        dataset, rows = self.rows[task]
        train = self.config.train
        batches = fixed_batches(
            dataset,
            rows,
            self.pixels,
            batch_size=max(1, train.batch_size // train.gradient_accumulation_steps),
            loss_on_given=self.config.data.loss_on_given,
        )
        loss_sum = weight_sum = gap_sum = gap_weight = 0.0
        for index, (_, batch) in enumerate(batches):
            if index % distributed.world_size != distributed.rank:
                continue
            if self.features is not None:
                batch = with_features(batch, self.features)
            weight = float(model.weight(batch))
            loss = self._loss(model, batch.to(distributed.device), task)
            loss_sum, weight_sum = loss_sum + loss * weight, weight_sum + weight
            half = len(batch.images) // 2  # neighbours may be of one patient
            if half:
                other = roll_images(batch, half).to(distributed.device)
                gap_sum += (self._loss(model, other, task) - loss) * weight
                gap_weight += weight
        return loss_sum, weight_sum, gap_sum, gap_weight

    def _loss(self, model: TrainableModel, batch: Batch, task: str) -> float:
        with autocast(batch.images.device, self.config.train.precision):
            losses = model.loss(batch)
        # The loss of the task is free of label smoothing, "loss" may have it.
        return float(losses.get(f"loss/{task}", losses["loss"]))


def roll_images(batch: Batch, shift: int) -> Batch:
    """The same rows with the images of the rows `shift` positions further on."""
    features = None if batch.features is None else batch.features.roll(shift, dims=0)
    return replace(batch, images=batch.images.roll(shift, dims=0), features=features)
