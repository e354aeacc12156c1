"""A run and a split -> what it writes for every sample, beside what stands there.

Batches hold prompts of equal length as far as possible, so that little of the work is padding;
the order of the answers is the order of the store all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from lapse.config import DecodeConfig
from lapse.data.store import open_store
from lapse.loader import fixed_batches
from lapse.runs import OpenRun, open_run
from lapse.samples import (
    SampleTable,
    check_side,
    chosen_rows,
    length_sorted,
    load_tasks,
    split_records,
)
from lapse.types import Prediction

Progress = Callable[[int, int], None]


def predict(
    run: Path | OpenRun,
    data: Path,
    split: str,
    *,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    beams: int | None = None,
    max_tokens: int | None = None,
    batch_size: int | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[Prediction]:
    """Answer the samples of one split, task by task, in the order of the store.

    Args:
        run: a run folder, or one that is open.
        data: a store written by `prepare`, at the image side of the run.
        split: train, validate or test.
        tasks: those of the run by default.
        limit: at most so many samples over all tasks, in equal parts; which ones depends on
            nothing but the store, so that two runs answer the same.
        beams, max_tokens, batch_size: instead of the run's own `decode` values.
        progress: called with (samples done, samples in all).

    Raises:
        ValueError: the store has another image side, or there is nothing to answer.
    """
    opened = run if isinstance(run, OpenRun) else open_run(run)
    changes = {"beams": beams, "max_tokens": max_tokens, "batch_size": batch_size}
    decode = DecodeConfig.model_validate(
        {
            **opened.config.decode.model_dump(),
            **{name: value for name, value in changes.items() if value is not None},
        }
    )
    work = _tables(opened, data, split, tasks or opened.config.data.tasks, limit)
    total = sum(len(rows) for _, rows in work)
    if total == 0:
        raise ValueError(f"split {split!r} of {data} has no sample to answer")
    done = 0
    for table, rows in work:
        answers: dict[int, str] = {}
        for held, said in _answers(opened, data, table, rows, decode):
            answers |= dict(zip(held, said, strict=True))
            done += len(held)
            progress(done, total)
        for row in rows:
            sample = table.sample(row)
            yield Prediction(
                id=sample.id,
                task=sample.task,
                prediction=answers[row],
                references=(sample.answer.strip(),),
                patient=sample.patient,
                prompt=sample.prompt,
            )


def _tables(
    run: OpenRun, data: Path, split: str, names: Sequence[str], limit: int | None
) -> list[tuple[SampleTable, list[int]]]:
    store = open_store(data)
    side = check_side(store, run.config)
    work = []
    for index, name in enumerate(names):
        (task,) = load_tasks((name,), side)
        table = SampleTable(
            split_records(store, task, split),
            (task,),
            run.tokenizer,
            max_tokens=run.config.data.max_tokens,
        )
        count = table.num_rows
        if limit is not None:
            count = limit // len(names) + (index < limit % len(names))
        work.append((table, chosen_rows(table, count)))
    return work


def _answers(
    run: OpenRun, data: Path, table: SampleTable, rows: list[int], decode: DecodeConfig
) -> Iterator[tuple[tuple[int, ...], list[str]]]:
    pixels = open_store(data).pixels
    ordered = length_sorted(table, rows)
    for held, batch in fixed_batches(table, ordered, pixels, run.config, size=decode.batch_size):
        with torch.no_grad():
            said = run.model.answer(batch.to(run.device), decode)
        yield held, [text.strip() for text in said]
