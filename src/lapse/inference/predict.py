"""A trained model and a split of a store -> one prediction for each sample.

    plan_predictions      every input is checked, and every sample is counted, before any answer
    predict               predictions in this process, in the order of the store
    predict_to_file       (`lapse.inference.prediction_job`) the same as a file, on many ranks

Batches are a function of the samples and the batch size alone, so an answer has the same bits in
whichever process it is generated. A probe (`lapse.inference.probes`) answers the same samples with
other images.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lapse.core.progress import Progress, no_progress
from lapse.core.types import Prediction, Sample
from lapse.data.loading.batch_stream import Pixels
from lapse.data.store.store import open_store
from lapse.inference.answerers import Answerer, open_answerer
from lapse.inference.generate import GeneratedAnswer, batch_indices
from lapse.inference.predict_options import PredictOptions
from lapse.inference.probes import probe_pixels
from lapse.inference.selection import SampleSelection, Window
from lapse.training.run_folder import LoadedRun

__all__ = ["PredictOptions", "PredictionPlan", "plan_predictions", "predict"]
Source = str | Path | LoadedRun | Answerer


@dataclass(frozen=True, slots=True)
class PredictionPlan:
    """What will be answered.

    Attributes:
        pixels: image key -> [S, S] uint8, of the store or of a probe.
        lengths: prompt length of every sample, in order.
    """

    selection: SampleSelection
    pixels: Pixels
    batch_size: int
    lengths: array[int]

    def __len__(self) -> int:
        return len(self.lengths)

    def batches(self, window: Window) -> Iterator[list[int]]:
        """The batches of a window, as indices of its samples."""
        lengths = self.lengths[window.first : window.first + len(window.samples)]
        return batch_indices(window.samples, lengths, self.batch_size)


def plan_predictions(
    answerer: Answerer, data: Path, split: str, options: PredictOptions
) -> PredictionPlan:
    """Check the store, the tasks and every prompt.

    Raises:
        ValueError: the store has another image size, there is no sample to answer, a prompt is too
            long, or an id occurs twice.
    """
    store = open_store(data)
    answerer.check_store(store)
    selection = SampleSelection(
        store, split, answerer.tasks, limit=options.limit, probe=options.probe
    )
    lengths, hashes = array("i"), array("q")
    for window in selection.windows(is_logging=True):
        lengths.extend(answerer.prompt_length(sample) for sample in window.samples)
        hashes.extend(hash(sample.id) for sample in window.samples)
    if not lengths:
        under_probe = f" under the probe {options.probe!r}" if options.probe else ""
        raise ValueError(f"split {split!r} of {data} has no sample to answer{under_probe}")
    num_repeated = len(hashes) - len(np.unique(np.frombuffer(hashes, np.int64)))
    if num_repeated:
        raise ValueError(
            f"{num_repeated} of {len(hashes)} samples have the id of another sample: ids are unique"
        )
    pixels: Pixels = store.pixels
    if options.probe is not None:
        pixels = probe_pixels(pixels, store.info.size, exposure_source=options.exposure_source)
    return PredictionPlan(selection, pixels, answerer.batch_size, lengths)


def predict(
    source: Source,
    data: Path,
    split: str,
    options: PredictOptions | None = None,
    *,
    progress: Progress = no_progress,
) -> Iterator[Prediction]:
    """Answer the samples of one split, task by task, in the order of the store.

    Args:
        source: what `open_answerer` takes, or an `Answerer`.
        data: a store written by `prepare`, at the image size of the model.
        split: "train", "validate" or "test".
        options: tasks, limits, confidence and probe.
        progress: called with (answered samples, all samples).

    Raises:
        ValueError: as `open_answerer` and `plan_predictions`.
    """
    options = options or PredictOptions()
    answerer = source if isinstance(source, Answerer) else open_answerer(source, options)
    plan = plan_predictions(answerer, data, split, options)
    done = 0
    for window in plan.selection.windows():
        answers: dict[int, GeneratedAnswer] = {}
        for indices in plan.batches(window):
            group = [window.samples[index] for index in indices]
            answers |= zip(indices, answerer.answer(group, plan.pixels), strict=True)
            done += len(indices)
            progress(done, len(plan))
        for index, sample in enumerate(window.samples):
            yield prediction_of(sample, answers[index])


def prediction_of(sample: Sample, answer: GeneratedAnswer) -> Prediction:
    """The row of a predictions file."""
    return Prediction(
        id=sample.id,
        task=sample.task,
        prediction=answer.text,
        references=(sample.answer.strip(),),
        patient=sample.patient,
        prompt=sample.prompt,
        confidence=answer.confidence,
        guarded=answer.guarded,
    )
