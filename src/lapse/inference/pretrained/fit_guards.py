"""Fit what protects the answers of a model: its input check and the threshold of its guard.

training films      -> mean, directions and mean film of the input check; limit of a refusal
validation films    -> limit of a warning
validation pairs    -> threshold of the guard, for a precision of the stated changes; calibrated
                       probabilities of changes
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.config import AugmentConfig
from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_seed, derive_uniform
from lapse.core.types import Prediction
from lapse.data.store.store import Store, open_store
from lapse.evaluation.predictions.jsonl import read_predictions
from lapse.images.film_augmentation import augment_film, draw_film
from lapse.inference.answerers import ModelAnswerer
from lapse.inference.checks.pixel_check import PixelCheck, fit_pixel_check
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained.export import ModelParts
from lapse.metrics.guard_scores import choose_rule
from lapse.metrics.probability import Calibration, fit_calibration
from lapse.models.interface import CandidateModel

logger = logging.getLogger(__name__)

MAX_TRAIN, MAX_VALIDATE = 4000, 3000  # films
MAX_PAIRS = 600  # difference questions of validation patients


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What the guards are fitted on.

    Attributes:
        data: store of the patients that the model was trained on, or of the same kind.
        precision: of the stated changes on validation patients.
        num_pairs: at most this many difference questions.
        predictions: guarded answers of this model to validation questions
            (`lapse predict --guarded --split validate`); None to make them from `data`.
    """

    data: Path
    precision: float = 0.85
    num_pairs: int = MAX_PAIRS
    predictions: Path | None = None


def fit_guards(
    parts: ModelParts, options: FitOptions, *, progress: Progress = no_progress
) -> ModelParts:
    """The same model with an input check, a guard, and a calibration unless it has one.

    The model card names the data.

    Args:
        parts: a model, for example of `from_runs`.
        options: the data and the precision.
        progress: called with (answered questions, all questions).

    Raises:
        ValueError: the store has another image size or processing, or too few films or pairs.
    """
    store = open_store(options.data)
    size = parts.pretrain.model_config_object().encoder.image_size
    if (store.info.size, store.info.processing) != (size, parts.processing):
        raise ValueError(
            f"{options.data} has images of {store.info.size} px, {store.info.processing}; the "
            f"model reads {size} px, {parts.processing}: prepare a store with these options"
        )
    check = _fit_check(parts, store)
    facts = {**parts.facts, "input check": check.facts["fitted on"]}
    guard, calibration = None, parts.calibration
    if isinstance(parts.answerer, CandidateModel):
        predictions = _guarded_predictions(parts, options, progress)
        guard = choose_rule(predictions, options.precision)
        calibration = calibration or _calibrate(predictions, store)
        facts["guarded answers"] = guard.describe()
        logger.info("%s", guard.describe())
    return replace(parts, pixel_check=check, guard=guard, calibration=calibration, facts=facts)


def _fit_check(parts: ModelParts, store: Store) -> PixelCheck:
    encode = parts.encode
    if encode is None:
        raise ValueError("an input check needs a model with an encoder")
    augment = parts.pretrain.data.augment
    train = _films(store, "train", MAX_TRAIN, augment)
    validate = _films(store, "validate", MAX_VALIDATE, augment)
    augmented = ", augmented as in stage 1" if augment.fraction else ""
    source = "simulated" if store.info.source.startswith("simulated") else "the"
    facts = {
        "fitted on": f"{len(train)} train films of {source} data "
        f"{store.info.fingerprint[:12]}..., limits from {len(validate)} validation films{augmented}"
    }
    return fit_pixel_check(encode, train, validate, facts=facts)


def _films(store: Store, split: str, limit: int, augment: AugmentConfig) -> NDArray[np.uint8]:
    """Films of one split as in training, evenly spaced over its patients. # [U, S, S]"""
    studies = store.studies_of(split)
    step = max(1, -(-len(studies) // limit))
    films = []
    for study in studies[::step]:
        film, key = np.asarray(store.pixels(study.image)), ("input check", study.image)
        if derive_uniform(*key, "whether") < augment.fraction:
            film = augment_film(film, draw_film(augment, derive_seed(*key, "film") >> 1))
        films.append(film)
    return np.stack(films)


def _calibrate(predictions: Sequence[Prediction], store: Store) -> Calibration | None:
    """The probabilities of changes; None, with the reason in the log, where they have no basis."""
    try:
        return fit_calibration(predictions, split="validate", data=store.info.description)
    except ValueError as error:
        logger.warning("the model has no calibrated probabilities: %s", error)
        return None


def _guarded_predictions(
    parts: ModelParts, options: FitOptions, progress: Progress
) -> list[Prediction]:
    if options.predictions is not None:
        return read_predictions(options.predictions)
    predict_options = PredictOptions(tasks=("diff_vqa",), limit=options.num_pairs, guarded=True)
    answerer = ModelAnswerer(parts.answerer, parts.diffvqa, predict_options)
    return list(predict(answerer, options.data, "validate", predict_options, progress=progress))
