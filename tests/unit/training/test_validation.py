"""Validation losses and the image gap: zero for a model that ignores its images."""

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


class ImageChecker(torch.nn.Module):
    """A loss of 1 for each row with the image of another record, else 0; counts both."""

    def __init__(self):
        super().__init__()
        self.num_wrong = self.num_rows = 0

    def weight(self, batch):
        return float(batch.loss_mask.sum())

    def loss(self, batch):
        wrong = []
        for row, sample in enumerate(batch.samples):
            shown = batch.images[batch.image_index[row, 0]].reshape(tiny_store.SIDE, -1)
            expected = torch.from_numpy(tiny_store.pixels(sample.images[0]))
            wrong.append(float(not torch.equal(shown, expected)))
        self.num_rows += len(wrong)
        self.num_wrong += int(sum(wrong))
        return {"loss": torch.tensor(wrong).mean()}


@pytest.fixture(scope="module")
def data_and_config(tmp_path_factory):
    folder = tiny_store.write(tmp_path_factory.mktemp("validation") / "store", num_patients=36)
    config = tiny_model.config(train__eval_samples=48, train__batch_size=8)
    return read_training_data(open_store(folder), config), config


def test_every_row_is_evaluated_with_its_image_and_with_another(data_and_config):
    data, config = data_and_config
    model = ImageChecker()
    losses = Validator(data, config).evaluate(model, ALONE)
    for task in TASKS:
        assert losses[f"validate/{task}"] == 0.0
        assert losses[f"image_gap/{task}"] == 1.0
    assert model.num_wrong * 2 == model.num_rows


def test_the_image_gap_of_a_model_that_ignores_its_images_is_zero(data_and_config):
    data, config = data_and_config
    torch.manual_seed(0)
    model = build_model(config, data.tokenizer).train()
    losses = Validator(data, config).evaluate(model, ALONE)
    assert model.training
    assert all(losses[f"image_gap/{task}"] != 0.0 for task in TASKS)
    torch.nn.init.zeros_(model.project.weight)
    blind = Validator(data, config).evaluate(model, ALONE)
    assert all(blind[f"image_gap/{task}"] == 0.0 for task in TASKS)
    assert blind["validate/loss"] > 0


def test_the_sums_of_two_ranks_add_up_to_those_of_one(data_and_config):
    data, config = data_and_config
    model = build_model(config, data.tokenizer).eval()
    validator = Validator(data, config)
    for task in TASKS:
        with torch.no_grad():
            one = validator.loss_sums(model, ALONE, task)
            parts = [
                validator.loss_sums(model, DistributedContext(rank, 2, ALONE.device), task)
                for rank in (0, 1)
            ]
        assert parts[0][1] < one[1]
        assert [sum(both) for both in zip(*parts, strict=True)] == pytest.approx(one)
