"""The other pretraining methods overfit 32 phantom images. Minutes long, so marked slow.

Only the number of steps and of records and the learning rate differ from the presets.
"""

import pytest
import torch

from lapse.config import load_config
from lapse.data.loading.batch import text_keys
from lapse.data.loading.training_data import read_training_data
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.inference.predict import PredictOptions, predict
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.run_folder import load_run
from lapse.training.trainer import train

pytestmark = pytest.mark.slow
LENGTH = {"global": 150, "regional": 400, "blip2": 300}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overfit")
    simulate(folder / "raw", SimulateConfig(patients=60, seed=5, size=160))
    prepare(find_roots([folder / "raw"]), folder / "store", PrepareOptions(128))
    return folder / "store"


@torch.no_grad()
def recall_at_1(run, batch) -> float:
    """The fraction of rows with their text (or an equal one) as the most similar of the batch."""
    model, keys = run.model, text_keys(batch)
    if hasattr(model, "image_vectors"):
        similar = model.image_vectors(batch) @ model.text_vectors(batch).t()
    else:
        similar = model.similarity(model.image_memory(batch), model.texts(batch))
    return (keys[similar.argmax(1)] == keys).float().mean().item()


@pytest.mark.parametrize("name", list(LENGTH))
def test_each_image_is_most_similar_to_its_text(name, store, tmp_path):
    images = 8 if name == "regional" else 32
    steps = LENGTH[name]
    config = load_config(
        f"pretrain-{name}-tiny",
        [f"data.max_records={images}",
        "train.precision=fp32", f"train.steps={steps}", f"train.eval_every={steps}",
         "optim.learning_rate=1.0e-3"],
    )  # fmt: skip
    train(config, store, tmp_path / "run")
    run = load_run(tmp_path / "run", "cpu")
    data = read_training_data(open_store(store), config, run.tokenizer)
    recalls = [recall_at_1(run, data.stream.batches(step)[0]) for step in range(4)]
    print(f"{name}: recall at 1 of four batches: {recalls}")
    assert min(recalls) > 0.9


@pytest.mark.parametrize(("name", "task"), [("cappa", "caption"), ("locca", "cap")])
def test_the_start_of_eight_reports_is_learned_by_heart(name, task, store, tmp_path):
    """Parallel captions show no text and no length; the answers here are generated in order."""
    steps = 1000
    config = load_config(
        f"pretrain-{name}-published-tiny",
        ["data.max_records=8", f"train.steps={steps}", f"train.eval_every={steps}",
         f"train.save_every={steps}", "optim.learning_rate=1.5e-3", "data.max_tokens=40",
         "train.eval_samples=8", "model.decoder.max_tokens=40", "generation.max_new_tokens=36",
         "model.encoder.stem=conv_batch", "model.encoder.layers=1"],
    )  # fmt: skip
    train(config, store, tmp_path / "run")
    data = read_training_data(open_store(store), config).stream.dataset
    learned = {f"{task}/{data.record(number).id}" for number in range(len(data))}
    predictions = predict(tmp_path / "run", store, "train", PredictOptions(tasks=(task,)))
    trained = [item for item in predictions if item.id in learned]
    num_exact = sum(
        len(item.prediction) > 60 and item.references[0].startswith(item.prediction.strip())
        for item in trained
    )
    print(f"{name}: {num_exact} of {len(trained)} starts exact after {steps} steps")
    assert len(trained) == num_exact == 8
