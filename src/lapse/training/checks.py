"""The checks of a run that `train` and `train --dry-run` share, before anything is written."""

from __future__ import annotations

import logging
from pathlib import Path

from lapse.config import RunConfig
from lapse.data.loading.training_data import TrainingData
from lapse.models.interface import TrainableModel
from lapse.training.checkpoint import check_disk
from lapse.training.compilation import check_backend
from lapse.training.distributed import pick_device
from lapse.training.feature_cache import cacheable_encoder
from lapse.training.optim import warmup_steps
from lapse.training.parallel import check_shardable

logger = logging.getLogger(__name__)


def check_run(
    config: RunConfig, data: TrainingData, model: TrainableModel, out: Path, *, world_size: int
) -> None:
    """Check what can stop a run later, and warn of settings that are rarely intended.

    Args:
        config: the run.
        data: what it reads.
        model: with its first weights; may be on the meta device.
        out: the run folder, which may not exist yet.
        world_size: number of ranks.

    Raises:
        ValueError: too few records per step, features that cannot be cached, parameters that
            cannot be sharded, a backend of `torch.compile` that does not work, or a full disk.
    """
    data.stream.check_num_ranks(world_size)
    if config.data.cache_features != "none":
        cacheable_encoder(model, config)
    if config.train.keep == "best" and not data.validation:
        raise ValueError(
            "train.keep is 'best' and the store has no validation sample of these tasks: set "
            "train.keep=last, or prepare data with a validation split"
        )
    if config.train.parallel == "fsdp":
        check_shardable(model)
    check_disk(out, model)
    check_backend(config.train.compile, pick_device())
    total = data.stream.total_steps
    warm = warmup_steps(config.optim, total)
    if warm > total:
        logger.warning(
            "the warm-up of %d steps is longer than the run of %d: the learning rate does not "
            "reach optim.learning_rate; lower optim.warmup_steps",
            warm,
            total,
        )
