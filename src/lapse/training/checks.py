"""The checks of a run that `train` and `train --dry-run` share, before anything is written."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from torch import Tensor

from lapse.config import RunConfig
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.training_data import TrainingData
from lapse.models.interface import TrainableModel
from lapse.training.checkpoint import check_disk
from lapse.training.feature_cache import cacheable_encoder
from lapse.training.optim import warmup_steps

logger = logging.getLogger(__name__)
SHARED_MEMORY = Path("/dev/shm")  # of Linux
PREFETCHED = 2  # batches that torch's loader keeps per worker


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
        ValueError: too few records per step, features that cannot be cached, a full disk, or too
            little shared memory for the worker processes.
    """
    data.stream.check_num_ranks(world_size)
    if config.data.cache_features != "none":
        cacheable_encoder(model, config)
    if config.train.keep == "best" and not data.validation:
        raise ValueError(
            "train.keep is 'best' and the store has no validation sample of these tasks: set "
            "train.keep=last, or prepare data with a validation split"
        )
    check_disk(out, model)
    _check_shared_memory(data.stream, config.train.num_workers, world_size)
    total = data.stream.total_steps
    warm = warmup_steps(config.optim, total)
    if warm > total:
        logger.warning(
            "the warm-up of %d steps is longer than the run of %d: the learning rate does not "
            "reach optim.learning_rate; lower optim.warmup_steps",
            warm,
            total,
        )


def _check_shared_memory(stream: BalancedBatchStream, num_workers: int, world_size: int) -> None:
    """Worker processes pass batches through shared memory; a worker that fills it is killed."""
    if num_workers == 0 or not SHARED_MEMORY.is_dir():
        return
    tensors = [
        value
        for batch in stream.batches(0, 0, world_size)
        for name in batch.__dataclass_fields__
        if isinstance(value := getattr(batch, name), Tensor)
    ]
    needed = PREFETCHED * num_workers * sum(value.nbytes for value in tensors)
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < needed:
        raise ValueError(
            f"{num_workers} worker processes need {needed} bytes of shared memory for their "
            f"batches, and {free} are free in {SHARED_MEMORY}: lower train.num_workers, set it to "
            "0, or give the container more shared memory (docker run --shm-size)"
        )
