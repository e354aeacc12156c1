"""Held-out losses while a run trains, and whether the model looks at its images at all.

A text prior alone makes every loss fall for thousands of steps. So each held-out row is read
twice, with its own images and with another patient's:

    image_gap/<task> = loss with the other images - loss with its own     (per target token)

Zero means blind, whatever the loss; the step where it leaves zero is the end of the plateau.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from lapse.config import RunConfig
from lapse.data.loading.batch import Batch, with_features
from lapse.data.loading.batch_stream import fixed_batches
from lapse.data.loading.training_data import TrainingData
from lapse.training.distributed import DistributedContext, autocast
from lapse.training.run_folder import TrainableModel


class Validator:
    """The same held-out rows of each task, every time.

    Args:
        data: reads its validation rows and its pixels.
        config: the run.
    """

    def __init__(self, data: TrainingData, config: RunConfig) -> None:
        self.rows = data.validation
        self.pixels, self.features = data.stream.pixels, data.stream.features
        self.config = config

    @torch.no_grad()
    def losses(self, model: TrainableModel, world: DistributedContext) -> dict[str, float]:
        """Mean loss per target token: "validate/<task>", "image_gap/<task>", "validate/loss".

        The model is in training mode again afterwards. Ranks share the work.
        """
        model.eval()
        names = list(self.rows)
        totals = world.sum([value for name in names for value in self._task(model, world, name)])
        model.train()
        found = {}
        for index, name in enumerate(names):
            loss, tokens, gap, compared = totals[4 * index : 4 * index + 4]
            found[f"validate/{name}"] = loss / tokens
            if compared:
                found[f"image_gap/{name}"] = gap / compared
        return {**found, "validate/loss": sum(totals[::4]) / sum(totals[1::4])}

    def _task(
        self, model: TrainableModel, world: DistributedContext, name: str
    ) -> tuple[float, float, float, float]:
        """Sums over this rank's rows: loss, tokens, gap, and the tokens that the gap is over."""
        dataset, rows = self.rows[name]
        loss = tokens = gap = compared = 0.0
        size = max(1, self.config.train.batch_size // self.config.train.gradient_accumulation_steps)
        batches = fixed_batches(
            dataset,
            rows,
            self.pixels,
            batch_size=size,
            loss_on_given=self.config.data.loss_on_given,
        )
        for index, (_, batch) in enumerate(batches):
            if index % world.size != world.rank:
                continue
            if self.features is not None:
                batch = with_features(batch, self.features)
            count = float(model.weight(batch))
            own = self._loss(model, world, batch, name)
            loss, tokens = loss + own * count, tokens + count
            half = len(batch.images) // 2  # neighbours may be of one patient
            if half:
                gap += (self._loss(model, world, moved(batch, half), name) - own) * count
                compared += count
        return loss, tokens, gap, compared

    def _loss(
        self, model: TrainableModel, world: DistributedContext, batch: Batch, name: str
    ) -> float:
        with autocast(world, self.config.train.precision):
            losses = model.loss(batch.to(world.device))
        # The task's own loss is free of label smoothing where a model smooths.
        return float(losses.get(f"loss/{name}", losses["loss"]))


def moved(batch: Batch, places: int) -> Batch:
    """The rows as they are, with the images of rows further on."""
    features = None if batch.features is None else batch.features.roll(places, dims=0)
    return replace(batch, images=batch.images.roll(places, dims=0), features=features)
