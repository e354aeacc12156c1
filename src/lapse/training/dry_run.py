"""`train --dry-run`: check a run and log what it would do."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

import torch
import yaml

from lapse.config import RunConfig
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.training.checkpoint import latest_valid_checkpoint
from lapse.training.checks import check_run
from lapse.training.distributed import init_distributed
from lapse.training.initialization import build_run_model, reads_weights
from lapse.training.pixel_check import check_pixel_sample
from lapse.training.run_folder import check_same_run, is_run_folder, read_tokenizer, run_facts

logger = logging.getLogger(__name__)


def dry_run(config: RunConfig, data: Path, out: Path) -> int:
    """Do every check of `train`; log the configuration, the source of the first weights, the
    parameters of each part, the steps and the first batch.

    Nothing is written. Weights that the configuration names are read, so that they exist and fit;
    a model with random weights only is built without memory. Returns the number of steps.

    Raises:
        ValueError: as `train`.
    """
    with init_distributed() as distributed:
        store = open_store(data)
        check_pixel_sample(store)
        tokenizer = None
        if is_run_folder(out):
            check_same_run(out, config, run_facts(store, distributed))
            tokenizer = read_tokenizer(out)
        training_data = read_training_data(store, config, tokenizer)
        for line in yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).splitlines():
            logger.info(line)
        checkpoint = latest_valid_checkpoint(out).checkpoint
        is_random = checkpoint is None and not reads_weights(config)
        with torch.device("meta") if is_random else nullcontext():
            model, report = build_run_model(config, training_data.tokenizer, checkpoint)
        check_run(config, training_data, model, out, world_size=distributed.world_size)
        for line in report.messages if report is not None else ():
            logger.info(line)
        if checkpoint is not None:
            logger.info("resumes from step %d", checkpoint.step)
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
