"""The blindness measure: zero for a model that cannot see, positive for one that must."""

import pytest
import torch

import tiny_model
import tiny_store
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.training.distributed import DistributedContext
from lapse.training.run_folder import build_model
from lapse.training.validation import Validator

TASKS = ("cap", "aref", "gcap", "caref")
ALONE = DistributedContext(0, 1, torch.device("cpu"))


class Knows(torch.nn.Module):
    """Loses 1 per row whose image is not its own, else 0; and counts the patients it met."""

    def __init__(self):
        super().__init__()
        self.strangers = self.rows = 0

    def weight(self, batch):
        return float(batch.loss_mask.sum())

    def loss(self, batch):
        wrong = []
        for row, sample in enumerate(batch.samples):
            shown = batch.images[batch.image_index[row, 0]].reshape(tiny_store.SIDE, -1)
            own = torch.from_numpy(tiny_store.pixels(sample.images[0]))
            wrong.append(float(not torch.equal(shown, own)))
        self.rows, self.strangers = self.rows + len(wrong), self.strangers + int(sum(wrong))
        return {"loss": torch.tensor(wrong).mean()}


@pytest.fixture(scope="module")
def data_and_config(tmp_path_factory):
    folder = tiny_store.write(tmp_path_factory.mktemp("watch") / "store", num_patients=36)
    config = tiny_model.config(train__eval_samples=48, train__batch_size=8)
    return read_training_data(open_store(folder), config), config


def test_a_model_that_reads_its_images_pays_for_those_of_another(data_and_config):
    data, config = data_and_config
    model = Knows()
    found = Validator(data, config).evaluate(model, ALONE)
    for task in TASKS:
        assert found[f"validate/{task}"] == 0.0
        assert found[f"image_gap/{task}"] == 1.0
    assert model.strangers * 2 == model.rows


def test_a_blind_model_pays_nothing_and_a_seeing_one_something(data_and_config):
    data, config = data_and_config
    torch.manual_seed(0)
    model = build_model(config, data.tokenizer).train()
    seeing = Validator(data, config).evaluate(model, ALONE)
    assert model.training
    assert all(seeing[f"image_gap/{task}"] != 0.0 for task in TASKS)
    torch.nn.init.zeros_(model.project.weight)
    blind = Validator(data, config).evaluate(model, ALONE)
    assert all(blind[f"image_gap/{task}"] == 0.0 for task in TASKS)
    assert blind["validate/loss"] > 0


def test_ranks_share_the_rows(data_and_config):
    data, config = data_and_config
    model = build_model(config, data.tokenizer).eval()
    watch = Validator(data, config)
    for task in TASKS:
        with torch.no_grad():
            alone = watch.loss_sums(model, ALONE, task)
            parts = [
                watch.loss_sums(model, DistributedContext(rank, 2, ALONE.device), task)
                for rank in (0, 1)
            ]
        assert parts[0][1] < alone[1]
        assert [sum(both) for both in zip(*parts, strict=True)] == pytest.approx(alone)
