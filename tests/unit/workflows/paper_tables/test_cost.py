"""Operations of a step against torch's counter and by hand; the cost of a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import tiny_models
from lapse.config import load_config
from lapse.core import registry
from lapse.workflows.paper_tables.cost import PEAKS, UTILISATION, describe, describe_sum, run_cost
from lapse.workflows.paper_tables.operations import OperationCounter, UndrawnWeights, count_step
from lapse.workflows.paper_tables.plan import PlannedRun, TableOptions, plan
from lapse.workflows.paper_tables.run import open_stores
from small_table import ROWS, spec

# All their products are linear layers, attention and convolutions, which torch counts too. Others
# have products inside einsum, LSTM cells or the losses of many rows.
EXACT = ("captioner", "global_contrastive", "blip2_writer", "prefix_lm", "real", "plural")
MODELS = [
    (table, name)
    for table in ("pretraining", "vqa")
    for name in registry.names(table)
    if (table, name) in tiny_models.TINY
]


@pytest.mark.parametrize(("table", "name"), MODELS)
def test_the_count_is_that_of_torch(table, name):
    _, model, batch = tiny_models.build(table, name)
    model.train()
    counted = count_step(model, [batch])
    assert counted.operations > 0 and counted.frozen_encoder <= counted.operations
    if name not in EXACT:
        return
    torch.manual_seed(0)
    with FlopCounterMode(display=False) as torch_counter:
        losses = model.loss(batch)
        losses["loss"].backward()
    assert counted.operations == pytest.approx(torch_counter.get_total_flops(), rel=0.02)


def test_gradients_and_frozen_layers_by_hand():
    """[4, 8] x [8, 16]: 1,024 operations, once for each pass that is needed."""
    layer, x = nn.Linear(8, 16), torch.ones(4, 8)
    frozen = nn.Linear(8, 16).requires_grad_(False)
    for module, inputs, passes in (
        (frozen, x, 1),
        (layer, x, 2),  # the input needs no gradient
        (frozen, x.clone().requires_grad_(), 2),  # its weights need none
        (layer, x.clone().requires_grad_(), 3),
    ):
        counter = OperationCounter()
        with counter:
            result = module(inputs)
        assert counter.operations == 1024 * passes
        assert result.shape == (4, 16) and result.requires_grad == (passes > 1)
    with OperationCounter() as counter, torch.no_grad():
        layer(x)
    assert counter.operations == 1024


def test_large_sums_are_zeros_and_large_indices_are_computed():
    with OperationCounter() as counter:
        floats = torch.ones(300, 300) + torch.ones(300)
        indices = torch.ones(300, 300, dtype=torch.long) + torch.ones(300, dtype=torch.long)
    assert not floats.any() and floats.shape == (300, 300)
    assert bool((indices == 2).all())
    assert counter.operations == 0.0


def test_a_model_of_the_paper_is_counted_without_its_weights():
    with UndrawnWeights():
        weight = nn.Linear(2048, 2048).weight
    assert weight.shape == (2048, 2048)
    assert nn.Linear(2048, 2048).weight.std() > 0.0  # drawn again outside


def planned(data, **options):
    rows = plan(spec(rows=ROWS[:2]), Path("out"), open_stores([data]), TableOptions(**options))
    return rows[0].runs


def test_the_cost_of_a_run(data):
    pretrain, answer = (run_cost(run) for run in planned(data))
    assert pretrain.origin == "encoder: random" and pretrain.steps == 4
    assert answer.origin.startswith("encoder: pretrain-tiny-")
    assert answer.origin.endswith(", language model: random")
    assert answer.trained < answer.parameters
    assert 0 < answer.cached_operations < answer.operations and answer.feature_bytes > 0
    assert pretrain.cached_operations == pretrain.operations and pretrain.feature_bytes == 0
    expected = pretrain.operations / (PEAKS["A100"] * UTILISATION) / 3600
    assert pretrain.hours("A100") == expected > pretrain.hours("H100")
    hours = 3600 * (pretrain.hours("A100") + answer.hours("A100"))
    assert f"two: 2 runs, {hours:.1f} s on one A100" in describe_sum("two", [pretrain, answer])
    assert "random; " in describe(pretrain) and "GB of disk" in describe(pretrain)


def test_operations_grow_with_steps_records_and_batch(data):
    (run, _) = planned(data)

    def cost(*changes, records=None):
        values = run.config.model_dump(mode="json")
        for key, value in changes:
            values["train"][key] = value
        return run_cost(replace(run, config=type(run.config).model_validate(values)), records)

    base = cost()
    assert cost(("steps", 8)).operations == pytest.approx(2 * base.operations)
    assert cost(("batch_size", 16)).operations == pytest.approx(2 * base.operations)
    epochs = [("steps", None), ("epochs", 2)]
    assert cost(*epochs, records={"studies": 100}).steps == 100  # 2 x 100 records, 2 a step
    assert cost(*epochs, records={"pairs": 9}).records == base.records


def test_rows_of_equal_operations_have_those_of_ours(tmp_path):
    """At the scale of the paper; the store only gives texts and the number of records."""
    import tiny_store
    from lapse.workflows.paper_tables.spec import read_table

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_store, "SIDE", 448)
        store = tiny_store.write(tmp_path / "s448")
    rows = plan(read_table("table4"), tmp_path, open_stores([store]), TableOptions(scale="paper"))
    costs = {
        row.row.key: run_cost(row.runs[0], {"studies": 10_000}).operations
        for row in rows
        if row.runs[0].config.stage == "pretrain"
    }
    for key, operations in costs.items():
        if key.endswith("-operations"):
            assert operations == pytest.approx(costs["ours"], rel=0.03), key
    assert costs["cap"] > 3 * costs["ours"]


def test_weights_of_a_run_are_named(data):
    (_, answer) = planned(data)
    sizes = ["model.language_model.weights=/gpt2"]
    config = load_config("diffvqa-tiny", sizes)
    assert config.model["language_model"]["weights"] == "/gpt2"
    named = answer.config.model_copy(deep=True)
    named.model["language_model"]["weights"] = "/gpt2"
    cost = run_cost(PlannedRun("k", named, answer.data, "p"))
    assert cost.origin == "encoder: p, language model: /gpt2"
