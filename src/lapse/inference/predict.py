"""A trained run and a split of a store -> one prediction for each sample.

Predictions come in the order of the store, whatever the batches were. A probe
(`lapse.inference.probes`) answers the same samples with other images.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.config import GenerationConfig
from lapse.core.progress import Progress, no_progress
from lapse.core.types import Prediction, Sample
from lapse.data.loading.batch_stream import Pixels
from lapse.data.loading.records import check_image_size, load_tasks, split_records
from lapse.data.loading.tokenized_dataset import select_indices
from lapse.data.store.store import Store, open_store
from lapse.inference.generate import GeneratedAnswer, GenerateOptions, check_confidence, generate
from lapse.inference.probes import check_probe, probe_pixels, probe_samples
from lapse.training.run_folder import LoadedRun, load_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Which samples are answered, and how.

    Attributes:
        tasks: names of tasks; () for those of the run.
        limit: at most this many samples over all tasks, in equal parts. The choice depends on
            the store alone, so that two runs, and a probe, answer the same samples.
        num_beams, max_new_tokens, batch_size: override the `generation` values of the run.
        confidence: "none", "beam" or "clauses": fills `Prediction.confidence`.
        probe: one of `lapse.inference.probes.PROBES`, or None for the samples themselves.
        exposure_source: for the probe "acquisition": image key -> a second exposure, [S, S]
            uint8, such as a phantom rendered again; None imitates one from the stored pixels.
    """

    tasks: tuple[str, ...] = ()
    limit: int | None = None
    num_beams: int | None = None
    max_new_tokens: int | None = None
    batch_size: int | None = None
    confidence: str = "none"
    probe: str | None = None
    exposure_source: Pixels | None = None

    def generation(self, config: GenerationConfig) -> GenerationConfig:
        """The run's generation settings with the overrides of these options."""
        names = ("num_beams", "max_new_tokens", "batch_size")
        overrides = {name: value for name in names if (value := getattr(self, name)) is not None}
        return GenerationConfig.model_validate({**config.model_dump(), **overrides})


def predict(
    run: Path | LoadedRun,
    data: Path,
    split: str,
    options: PredictOptions | None = None,
    *,
    progress: Progress = no_progress,
) -> Iterator[Prediction]:
    """Answer the samples of one split, task by task, in the order of the store.

    Args:
        run: a run folder, or a loaded run.
        data: a store written by `prepare`, at the image size of the run.
        split: "train", "validate" or "test".
        options: tasks, limits, confidence and probe.
        progress: called with (answered samples, all samples).

    Raises:
        ValueError: the store has another image size, there is no sample to answer, or the model
            cannot give the confidence.
    """
    options = options or PredictOptions()
    if options.probe is not None:
        check_probe(options.probe)
    loaded = run if isinstance(run, LoadedRun) else load_run(run)
    check_confidence(loaded.model, options.confidence)
    generate_options = GenerateOptions(
        options.generation(loaded.config.generation),
        loaded.config.data.max_tokens,
        options.confidence,
    )
    store = open_store(data)
    groups = _samples_by_task(loaded, store, split, options)
    pixels: Pixels = store.pixels
    if options.probe is not None:
        groups = [_probe(group, store, split, options.probe) for group in groups]
        pixels = probe_pixels(
            store.pixels, store.info.size, exposure_source=options.exposure_source
        )
    total = sum(map(len, groups))
    if total == 0:
        under_probe = f" under the probe {options.probe!r}" if options.probe else ""
        raise ValueError(f"split {split!r} of {data} has no sample to answer{under_probe}")
    done = 0
    for samples in groups:
        answers: dict[int, GeneratedAnswer] = {}
        for index, answer in generate(loaded.model, samples, pixels, generate_options):
            answers[index] = answer
            done += 1
            progress(done, total)
        for index, sample in enumerate(samples):
            yield Prediction(
                id=sample.id,
                task=sample.task,
                prediction=answers[index].text,
                references=(sample.answer.strip(),),
                patient=sample.patient,
                prompt=sample.prompt,
                confidence=answers[index].confidence,
            )


def _samples_by_task(
    run: LoadedRun, store: Store, split: str, options: PredictOptions
) -> list[Sequence[Sample]]:
    """The chosen samples of each task, in the order of the store."""
    size = check_image_size(store, run.config)
    names = options.tasks or run.config.data.tasks
    groups: list[Sequence[Sample]] = []
    for index, name in enumerate(names):
        (task,) = load_tasks((name,), size)
        samples = [
            sample
            for record in split_records(store, task, split)
            for sample in task.samples(record)
        ]
        count = len(samples)
        if options.limit is not None:
            count = options.limit // len(names) + (index < options.limit % len(names))
        groups.append([samples[row] for row in select_indices(len(samples), count)])
    return groups


def _probe(samples: Sequence[Sample], store: Store, split: str, probe: str) -> Sequence[Sample]:
    """The samples of the probe; logs how many samples have none."""
    references = [(pair.reference.patient, pair.reference.image) for pair in store.pairs_of(split)]
    probed = probe_samples(probe, samples, list(dict.fromkeys(references)))
    for reason, count in probed.skipped.items():
        logger.info("probe %s: %d of %d left out: %s", probe, count, len(samples), reason)
    return probed.samples
