"""A run and a split -> what it writes for every sample, beside what stands there.

Batches hold prompts of equal length as far as possible, so that little of the work is padding;
the order of the answers is the order of the store all the same. A probe (`lapse.inference.probes`)
asks
about the same samples with other images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lapse.config import GenerationConfig
from lapse.core.types import Candidate, Prediction, Sample
from lapse.data.loading.batch import EncodedText, collate, encode_sample
from lapse.data.loading.loader import Pixels, read_pixels
from lapse.data.loading.sample_table import (
    SampleTable,
    check_side,
    chosen_rows,
    load_tasks,
    split_records,
)
from lapse.data.store.store import Store, open_store
from lapse.inference.answer_confidence import (
    beam_confidence,
    check_confidence_level,
    clause_confidence,
)
from lapse.inference.probes import check_probe, probe_pixels, probe_samples
from lapse.training.run_folder import LoadedRun, load_run

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Work:
    """The samples of one task with their tokens, in the order of the store."""

    samples: tuple[Sample, ...]
    texts: tuple[EncodedText, ...]


def predict(
    run: Path | LoadedRun,
    data: Path,
    split: str,
    *,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    num_beams: int | None = None,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    confidence: str = "none",
    probe: str | None = None,
    again: Pixels | None = None,
    say: Say = lambda _line: None,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[Prediction]:
    """Answer the samples of one split, task by task, in the order of the store.

    Args:
        run: a run folder, or one that is open.
        data: a store written by `prepare`, at the image side of the run.
        split: train, validate or test.
        tasks: those of the run by default.
        limit: at most so many samples over all tasks, in equal parts; which ones depends on
            nothing but the store, so that two runs, and a probe, answer the same.
        num_beams, max_new_tokens, batch_size: instead of the run's own `generation` values.
        confidence: "none", "beam" or "clauses": what `Prediction.confidence` is filled with.
        probe: one of `lapse.inference.probes`, or None for the samples as they are.
        again: for the probe "acquisition": image key -> another exposure of it, [S, S] uint8,
            such as a phantom rendered anew; None imitates one from the stored pixels.
        say: told what a probe leaves out.
        progress: called with (samples done, samples in all).

    Raises:
        ValueError: the store has another image side, there is nothing to answer, or the run
            cannot give the confidence.
    """
    if probe is not None:
        check_probe(probe)
    opened = run if isinstance(run, LoadedRun) else load_run(run)
    check_confidence_level(opened, confidence)
    changes = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
    generation = GenerationConfig.model_validate(
        {
            **opened.config.generation.model_dump(),
            **{name: value for name, value in changes.items() if value is not None},
        }
    )
    store = open_store(data)
    names = tasks or opened.config.data.tasks
    work = [
        _work(opened, store, split, table, rows, probe, say)
        for table, rows in _tables(opened, store, split, names, limit)
    ]
    total = sum(len(part.samples) for part in work)
    if total == 0:
        raise ValueError(
            f"split {split!r} of {data} has no sample to answer"
            + (f" under the probe {probe!r}" if probe else "")
        )
    pixels = (
        store.pixels if probe is None else probe_pixels(store.pixels, store.info.size, again=again)
    )
    done = 0
    for part in work:
        answers: dict[int, tuple[str, dict[str, float]]] = {}
        for rows in _groups(part, generation.batch_size):
            answers |= zip(
                rows, _answers(opened, part, rows, pixels, generation, confidence), strict=True
            )
            done += len(rows)
            progress(done, total)
        for row, sample in enumerate(part.samples):
            said, sure = answers[row]
            yield Prediction(
                id=sample.id,
                task=sample.task,
                prediction=said,
                references=(sample.answer.strip(),),
                patient=sample.patient,
                prompt=sample.prompt,
                confidence=sure,
            )


def _tables(
    run: LoadedRun, store: Store, split: str, names: Sequence[str], limit: int | None
) -> list[tuple[SampleTable, list[int]]]:
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


def _work(
    run: LoadedRun,
    store: Store,
    split: str,
    table: SampleTable,
    rows: Sequence[int],
    probe: str | None,
    say: Say,
) -> _Work:
    samples = tuple(table.sample(row) for row in rows)
    if probe is None:
        return _Work(samples, tuple(table.text(row) for row in rows))
    references = [(pair.reference.patient, pair.reference.image) for pair in store.pairs_of(split)]
    found = probe_samples(probe, samples, list(dict.fromkeys(references)))
    for reason, count in found.skipped.items():
        say(f"probe {probe}: {count} of {len(samples)} left out: {reason}")
    room = run.config.data.max_tokens
    texts = tuple(encode_sample(sample, run.tokenizer, room) for sample in found.samples)
    return _Work(found.samples, texts)


def _groups(work: _Work, size: int) -> Iterator[list[int]]:
    """Rows of one batch each: of like prompts, and of one number of images."""
    order = sorted(range(len(work.samples)), key=lambda row: (work.texts[row].prompt, row))
    group: list[int] = []
    for row in order:
        images = len(work.samples[row].images)
        if group and (len(group) == size or len(work.samples[group[0]].images) != images):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _answers(
    run: LoadedRun,
    work: _Work,
    rows: Sequence[int],
    pixels: Pixels,
    generation: GenerationConfig,
    confidence: str,
) -> list[tuple[str, dict[str, float]]]:
    """What the run says of these rows, and how sure it is."""
    samples = [work.samples[row] for row in rows]
    texts = [work.texts[row] for row in rows]
    batch = collate(
        samples,
        texts,
        read_pixels(pixels, samples),
        loss_on_given=run.config.data.loss_on_given,
    ).to(run.device)
    with torch.no_grad():
        if confidence == "none":
            return [(text.strip(), {}) for text in run.model.answer(batch, generation)]
        found: list[list[Candidate]] = run.model.candidates(batch, generation)
    said = [hypotheses[0].text.strip() for hypotheses in found]
    sure = [beam_confidence(hypotheses) for hypotheses in found]
    if confidence == "clauses":
        clauses = clause_confidence(run, samples, found, pixels)
        sure = [beam | clause for beam, clause in zip(sure, clauses, strict=True)]
    return list(zip(said, sure, strict=True))
