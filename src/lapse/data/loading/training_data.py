"""What a run reads: training batches, and fixed validation rows of each task."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lapse.config import RunConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.records import (
    check_image_size,
    load_tasks,
    split_records,
    trimmed_vocabulary,
)
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    select_indices,
    sort_by_prompt_length,
)
from lapse.data.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run reads.

    Attributes:
        tokenizer: of the run.
        stream: training batches.
        validation: task name -> its validation samples and the rows of them to evaluate on.
    """

    tokenizer: Tokenizer
    stream: BalancedBatchStream
    validation: dict[str, tuple[TokenizedDataset, list[int]]]


def read_training_data(
    store: Store, config: RunConfig, tokenizer: Tokenizer | None = None
) -> TrainingData:
    """Tokenize the training split and select the validation rows.

    Args:
        store: an open store, at the image size of the model.
        config: the run.
        tokenizer: that of the run being resumed. None: build the one that `config` describes.

    Raises:
        ValueError: images of another size, or no record to train on.
    """
    size = check_image_size(store, config)
    tasks = load_tasks(config.data.tasks, size)
    records = split_records(store, tasks[0], "train")
    if tokenizer is None and config.data.vocabulary == "trimmed":
        tokenizer = Tokenizer(trimmed_vocabulary(records, tasks, size))
        logger.info(
            "vocabulary: trimmed to %d of %d GPT-2 tokens",
            len(tokenizer.kept or ()),
            tokenizer.size,
        )
    tokenizer = tokenizer or Tokenizer()
    max_tokens = config.data.max_tokens
    all_tasks = load_tasks((*config.data.tasks, *config.data.require_tasks), size)
    options = DatasetOptions(max_tokens, config.data.max_records, all_tasks[len(tasks) :])
    dataset = TokenizedDataset(records, tasks, tokenizer, options)
    for line in dataset.summary("train"):
        logger.info(line)
    _warn_of_truncation("train", dataset, max_tokens)
    validation = {}
    for task in tasks:
        samples = TokenizedDataset(
            split_records(store, task, "validate"), (task,), tokenizer, DatasetOptions(max_tokens)
        )
        _warn_of_truncation(f"validate, {task.name}", samples, max_tokens)
        rows = select_indices(samples.num_rows, max(1, config.train.eval_samples // len(tasks)))
        if rows:
            validation[task.name] = (samples, sort_by_prompt_length(samples, rows))
        else:
            logger.warning("validate: the split has no %s sample, so no loss of it", task.name)
    return TrainingData(tokenizer, BalancedBatchStream(dataset, store.pixels, config), validation)


def _warn_of_truncation(split: str, dataset: TokenizedDataset, max_tokens: int) -> None:
    if dataset.num_truncated:
        logger.warning(
            "%s: %d of %d samples are longer than data.max_tokens %d and are truncated: raise it "
            "to train on complete texts",
            split,
            dataset.num_truncated,
            dataset.num_rows,
            max_tokens,
        )
