"""The tiny presets overfit 64 images and 64 pairs. Minutes long, so marked slow.

Only the number of steps and of records differs from the presets. The predictions are of training
samples: the tests show that all gradients are used, not that a model generalizes.
"""

import pytest

from lapse.config import load_config
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.inference.predict import PredictOptions, predict
from lapse.metrics.box_accuracy import BoxAccuracy
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.trainer import train

COUNT = 64
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overfit")
    simulate(folder / "raw", SimulateConfig(patients=60, seed=5, size=160))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


@pytest.fixture(scope="module")
def pretrained(store):
    out = store.parent / "pretrain"
    config = load_config(
        "pretrain-tiny",
        [
            f"data.max_records={COUNT}",
            "train.precision=fp32",
            "train.steps=4000",
            "train.eval_every=4000",
        ],
    )
    train(config, store, out)
    return out


def test_pretraining_overfits_64_images(store, pretrained):
    images = {study.image for study in open_store(store).studies_of("train")[:COUNT]}
    assert len(images) == COUNT
    predictions = {"cap": [], "caref": []}
    for item in predict(pretrained, store, "train", PredictOptions(tasks=tuple(predictions))):
        if item.id.split("/")[1] in images:
            predictions[item.task].append(item)
    assert len(predictions["cap"]) == COUNT
    wrong = [item for item in predictions["cap"] if item.prediction != item.references[0]]
    scores = BoxAccuracy()(predictions["caref"])
    print(f"captions exact {COUNT - len(wrong)}/{COUNT}; {len(predictions['caref'])} boxes", scores)
    assert not wrong
    assert scores["Acc@0.5"].value > 0.95


def test_fine_tuning_overfits_64_pairs(store, pretrained):
    out = store.parent / "diffvqa"
    config = load_config(
        "diffvqa-tiny",
        [
            f"init_encoder={pretrained}",
            f"data.max_records={COUNT}",
            "train.precision=fp32",
            "train.steps=300",
            "train.eval_every=300",
        ],
    )
    train(config, store, out)
    pairs = [pair for pair in open_store(store).pairs_of("train") if pair.category == "difference"]
    learned = {f"diff_vqa/{pair.id}" for pair in pairs[:COUNT]}
    predictions = [item for item in predict(out, store, "train") if item.id in learned]
    assert len(predictions) == COUNT
    wrong = [item for item in predictions if item.prediction != item.references[0]]
    print(f"answers exact {COUNT - len(wrong)}/{COUNT}")
    assert not wrong
