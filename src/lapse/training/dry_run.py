"""`train --dry-run`: check a run and log what it would do."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import yaml

from lapse.config import RunConfig
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.training.distributed import init_distributed
from lapse.training.run_folder import (
    build_model,
    check_same_run,
    is_run_folder,
    run_facts,
    skip_pretrained_weights,
)

logger = logging.getLogger(__name__)


def dry_run(config: RunConfig, data: Path, out: Path) -> int:
    """Log the configuration, the parameters of each part, the steps and the first batch.

    Nothing is written. Returns the number of steps.

    Raises:
        ValueError: as `train`.
    """
    with init_distributed() as distributed:
        store = open_store(data)
        if is_run_folder(out):
            check_same_run(out, config, run_facts(store, distributed))
        training_data = read_training_data(store, config)
        for line in yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).splitlines():
            logger.info(line)
        with torch.device("meta"):
            model = build_model(skip_pretrained_weights(config), training_data.tokenizer)
        for name, part in model.named_children():
            logger.info("parameters: %s %d", name, sum(p.numel() for p in part.parameters()))
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        total = sum(p.numel() for p in model.parameters())
        logger.info("parameters: %d in all, %d trained", total, trained)
        stream = training_data.stream
        logger.info("steps: %d of %d rows", stream.total_steps, config.train.batch_size)
        for batch in stream.batches(0):
            images, tokens = list(batch.images.shape), list(batch.tokens.shape)
            logger.info("first batch: images %s, tokens %s, rows %d", images, tokens, len(batch))
        return stream.total_steps
