"""AdamW groups, the schedule as a function of the step, and the restored state."""

import pytest
import torch
from torch import nn

from lapse.config import OptimConfig
from lapse.training.optim import (
    build_optimizer,
    clip_gradients,
    learning_rate,
    load_optimizer_tensors,
    optimizer_tensors,
    parameter_groups,
    set_learning_rate,
    warmup_steps,
)


def small() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    for parameter in model[1].parameters():
        parameter.requires_grad = False
    return model


def step(model, optimizer, number):
    torch.manual_seed(number)
    optimizer.zero_grad(set_to_none=True)
    model(torch.randint(0, 5, (6,))).square().sum().backward()
    set_learning_rate(optimizer, 0.1 / (number + 1))
    optimizer.step()


def test_matrices_decay_vectors_do_not_and_frozen_ones_are_absent():
    model = small()
    decayed, plain = parameter_groups(model, OptimConfig(warmup_steps=0))
    assert [tuple(p.shape) for p in decayed["params"]] == [(5, 4), (3, 4)]
    assert [tuple(p.shape) for p in plain["params"]] == [(3,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)


def test_scalars_have_a_separate_rate_under_the_same_schedule():
    model = small()
    model.temperature = nn.Parameter(torch.tensor(2.0))
    config = OptimConfig(learning_rate=1e-4, scalar_learning_rate=1e-3, warmup_steps=0)
    optimizer = build_optimizer(model, config)
    set_learning_rate(optimizer, 5e-5)
    rates = {tuple(p.shape): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[()] == pytest.approx(5e-4)
    assert {rate for shape, rate in rates.items() if shape} == {5e-5}
    plain = build_optimizer(model, OptimConfig(learning_rate=1e-4, warmup_steps=0))
    assert len(plain.param_groups) == 2


def test_nothing_to_train_is_an_error():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no trained parameter"):
        build_optimizer(model, OptimConfig(warmup_steps=0))


def test_fused_where_the_device_can():
    assert build_optimizer(small(), OptimConfig(warmup_steps=0)).defaults["fused"] is True


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({"warmup_steps": 2}, [0.5, 1.0, 1.0, 0.8536, 0.5, 0.1464]),
        ({"warmup_fraction": 0.5, "schedule": "constant"}, [1 / 3, 2 / 3, 1.0, 1.0, 1.0, 1.0]),
        (
            {"warmup_steps": 2, "schedule": "polynomial", "end_learning_rate": 0.2},
            [0.5, 1.0, 1.0, 0.8, 0.6, 0.4],
        ),
        (
            {"warmup_steps": 2, "warmup_start_learning_rate": 0.4, "end_learning_rate": 0.2},
            [0.7, 1.0, 1.0, 0.8828, 0.6, 0.3172],
        ),
        ({"warmup_steps": 0}, [1.0, 0.933, 0.75, 0.5, 0.25, 0.067]),
    ],
)
def test_schedule(fields, rates):
    config = OptimConfig(learning_rate=1.0, **fields)
    assert [learning_rate(config, k, 6) for k in range(6)] == pytest.approx(rates, abs=1e-4)


def test_warmup_longer_than_the_run_never_divides_by_zero():
    config = OptimConfig(learning_rate=1.0, warmup_steps=10)
    assert learning_rate(config, 3, 4) == pytest.approx(0.4)
    assert warmup_steps(OptimConfig(warmup_fraction=0.1), 101) == 11


def test_clipping_reports_the_norm_before():
    model = small()
    model(torch.arange(5)).sum().mul(100).backward()
    before = float(clip_gradients(model, None))
    assert float(clip_gradients(model, 1.0)) == pytest.approx(before)
    assert float(clip_gradients(model, None)) == pytest.approx(1.0, rel=1e-4)


def run_on(is_restored: bool) -> torch.Tensor:
    """Three steps, the state through a dict, two steps in a new optimizer."""
    model = small()
    optimizer = build_optimizer(model, OptimConfig(warmup_steps=0))
    for number in range(3):
        step(model, optimizer, number)
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(model, optimizer).items()}
    optimizer = build_optimizer(model, OptimConfig(warmup_steps=0))
    if is_restored:
        load_optimizer_tensors(model, optimizer, saved)
    for number in range(3, 5):
        step(model, optimizer, number)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_only_a_restored_state_continues_with_the_same_bits():
    model = small()
    optimizer = build_optimizer(model, OptimConfig(warmup_steps=0))
    for number in range(5):
        step(model, optimizer, number)
    straight = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.equal(run_on(True), straight)
    assert not torch.equal(run_on(False), straight)


def test_state_of_another_model_is_refused():
    model = small()
    optimizer = build_optimizer(model, OptimConfig(warmup_steps=0))
    with pytest.raises(ValueError, match=r"'9\.weight' is not a trained parameter"):
        load_optimizer_tensors(model, optimizer, {"exp_avg/9.weight": torch.zeros(3)})
    with pytest.raises(ValueError, match="shape"):
        load_optimizer_tensors(model, optimizer, {"exp_avg/2.weight": torch.zeros(9, 9)})


@pytest.mark.parametrize("key", ["end_learning_rate", "warmup_start_learning_rate"])
def test_a_schedule_above_its_peak_is_refused(key):
    with pytest.raises(ValueError, match=rf"{key} is 0\.2 and learning_rate, the peak, is 0\.1"):
        OptimConfig(learning_rate=0.1, warmup_steps=0, **{key: 0.2})
