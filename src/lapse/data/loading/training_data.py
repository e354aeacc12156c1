"""What a run reads: training batches, and fixed validation rows of each task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from pathlib import Path

from lapse.config import RunConfig
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.word_tokenizer import WordPieceTokenizer, WordTokenizer
from lapse.data.loading.augmentation import changed_answers
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.records import (
    box_texts,
    check_image_size,
    load_tasks,
    sample_texts,
    split_records,
)
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    select_indices,
    sort_by_prompt_length,
)
from lapse.data.store.store import Store
from lapse.data.tasks.base import Record, Task
from lapse.data.tasks.plain_text import PlainText

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
    is_given = tokenizer is not None
    tokenizer, stream = read_stream(store, config, tokenizer)
    if not is_given and config.data.vocabulary == "trimmed":
        kept = len(tokenizer.kept or ())
        logger.info("vocabulary: trimmed to %d of %d GPT-2 tokens", kept, tokenizer.size)
    elif not is_given and isinstance(tokenizer, WordTokenizer):
        logger.info("vocabulary: %d words", len(tokenizer.words))
    for part in (stream, stream.second):
        if part is not None:
            for line in part.dataset.summary("train"):
                logger.info(line)
            _warn_of_truncation("train", part.dataset, config.data.max_tokens)
    tasks = [task for part in (stream, stream.second) if part for task in part.dataset.tasks]
    return TrainingData(tokenizer, stream, _validation(store, config, tasks, tokenizer))


def read_stream(
    store: Store,
    config: RunConfig,
    tokenizer: Tokenizer | None = None,
    *,
    num_records: int | None = None,
) -> tuple[Tokenizer, BalancedBatchStream]:
    """The tokenizer and the training batches of a run, without log lines.

    Args:
        store, config, tokenizer: as for `read_training_data`.
        num_records: read only this many records, spread over the training split. None: all.

    Raises:
        ValueError: images of another size, or no record to train on.
    """
    size = check_image_size(store, config)
    tasks, second = (
        _tasks(config, names, size) for names in (config.data.tasks, config.data.second_tasks)
    )
    groups = [(_records(store, part[0], num_records), part) for part in (tasks, second) if part]
    if tokenizer is None:
        texts = chain.from_iterable(starmap(sample_texts, groups))
        if config.data.augment.exchanged_pairs or config.data.augment.repeated_films:
            texts = chain(texts, *(changed_answers(records) for records, _ in groups))
        tokenizer = _tokenizer(config, chain(box_texts(size), texts))
    required = load_tasks((*config.data.tasks, *config.data.require_tasks), size)[len(tasks) :]
    streams = []
    for group, further in zip(groups, (required, ()), strict=False):
        options = DatasetOptions(config.data.max_tokens, config.data.max_records, further)
        dataset = TokenizedDataset(*group, tokenizer, options)
        streams.append(BalancedBatchStream(dataset, store.pixels, config))
    if second:
        streams[0].second = streams[1]
    return tokenizer, streams[0]


def _records(store: Store, task: Task, count: int | None) -> Sequence[Record]:
    records = split_records(store, task, "train")
    if count is None:
        return records
    return [records[index] for index in select_indices(len(records), count)]


def _tasks(config: RunConfig, names: Sequence[str], size: int) -> tuple[Task, ...]:
    tasks = load_tasks(names, size)
    return tuple(map(PlainText, tasks)) if config.data.strip_punctuation else tasks


def _tokenizer(config: RunConfig, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer that a configuration describes; `texts` are those of the training split."""
    data = config.data
    if data.vocabulary == "trimmed":
        return Tokenizer(trimmed_ids(dict.fromkeys(texts)))
    if data.vocabulary == "words":
        return WordTokenizer.of_texts(dict.fromkeys(texts))
    if data.vocabulary_file is not None:
        return WordPieceTokenizer.of_file(Path(data.vocabulary_file))
    return Tokenizer()


def _validation(
    store: Store, config: RunConfig, tasks: Sequence[Task], tokenizer: Tokenizer
) -> dict[str, tuple[TokenizedDataset, list[int]]]:
    """The validation samples of each task, and the rows of them to evaluate on."""
    max_tokens = config.data.max_tokens
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
    return validation


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
