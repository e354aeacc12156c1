"""The input check of a model that was trained on augmented films is fitted on augmented films."""

from dataclasses import replace

import numpy as np
import pytest

from lapse.config import AugmentConfig
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.images.film_augmentation import augment_film, draw_film
from lapse.inference.checks.pixel_check import pooled_tokens
from lapse.inference.pretrained import DEFAULT
from lapse.inference.pretrained.export import read_folder
from lapse.inference.pretrained.fit_guards import FitOptions, fit_guards
from lapse.phantom.dataset.writer import SimulateConfig, simulate


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    simulate(folder / "raw", SimulateConfig(patients=160, seed=5, size=128))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


def warned(parts, store):
    """The fraction of augmented test films that the check warns about."""
    opened, options = open_store(store), AugmentConfig(fraction=1.0)
    films = np.stack(
        [
            augment_film(np.asarray(opened.pixels(study.image)), draw_film(options, seed))
            for seed, study in enumerate(opened.studies_of("test"))
        ]
    )
    check = parts.pixel_check
    return (check.scores(pooled_tokens(parts.encode, films), films) > check.warn).mean()


def test_augmented_films_are_usual_for_a_model_that_was_trained_on_them(store):
    packaged = read_folder(DEFAULT)
    assert packaged.pretrain.data.augment.fraction == 0.6
    fitted = fit_guards(packaged, FitOptions(store, num_pairs=2))
    assert "augmented as in stage 1" in fitted.pixel_check.facts["fitted on"]
    assert warned(fitted, store) < 0.1
    data = packaged.pretrain.data.model_copy(update={"augment": AugmentConfig()})
    plain = replace(packaged, pretrain=packaged.pretrain.model_copy(update={"data": data}))
    fitted = fit_guards(plain, FitOptions(store, num_pairs=2))
    assert "augmented" not in fitted.pixel_check.facts["fitted on"]
    assert warned(fitted, store) > 0.3
