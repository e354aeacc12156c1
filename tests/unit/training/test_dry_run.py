"""A dry run does every check of the run, logs what the run would do, and writes nothing."""

import logging

import pytest

import tiny_model
import tiny_runs
import tiny_store
from lapse.config import RunConfig, check_config
from lapse.training.dry_run import dry_run
from lapse.training.trainer import train


def test_a_dry_run_logs_the_run_and_writes_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = tiny_store.write(tmp_path / "store")
    assert dry_run(tiny_model.config(), data, tmp_path / "run") == 8
    for line in (
        "  learning_rate: 0.01",
        "parameters: encoder 16400",
        "steps: 8 of 16 rows",
        "train: 16 of 16 records in use, 208 samples",
        "first batch: images [4, 1, 32, 32], tokens [16, 23], rows 16",
    ):
        assert line in caplog.messages
    assert not (tmp_path / "run").exists()


def test_a_dry_run_into_another_run_is_refused(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    train(tiny_model.config(train__steps=1), data, tmp_path / "run")
    assert dry_run(tiny_model.config(train__steps=1), data, tmp_path / "run") == 1
    with pytest.raises(ValueError, match=r"started differently: train\.steps is 2, was 1"):
        dry_run(tiny_model.config(train__steps=2), data, tmp_path / "run")


def with_values(stage: str, **changes) -> RunConfig:
    """The configuration of `tiny_runs` with changes, "group__key" = value."""
    values = tiny_runs.config(stage).model_dump(mode="json")
    for name, value in changes.items():
        *groups, key = name.split("__")
        node = values
        for group in groups:
            node = node[group]
        node[key] = value
    return check_config(values)


BAD_INPUTS = [
    ({"init_encoder": "nowhere"}, "init_encoder 'nowhere' is neither a folder"),
    ({"init_model": "nowhere"}, "init_model 'nowhere' is neither a folder"),
    ({"model__language_model__weights": "nowhere"}, "language_model.weights 'nowhere' is neither"),
    ({"init_encoder": "RUN"}, "has other sizes: width is 16, there 32"),
    ({"train__gradient_accumulation_steps": 99}, "too few for 1 ranks x 99 accumulation steps"),
    ({"data__cache_features": "fp32", "model__train_encoder": True}, "needs a frozen encoder"),
]


@pytest.mark.parametrize("function", [dry_run, train])
@pytest.mark.parametrize(("changes", "sentence"), BAD_INPUTS)
def test_wrong_input_is_refused_before_anything_is_written(changes, sentence, function, tmp_path):
    data, out = tiny_store.write(tmp_path / "store"), tmp_path / "run"
    if changes.get("init_encoder") == "RUN":
        other = with_values("pretrain", model__encoder__width=32)
        train(other, data, tmp_path / "other")
        changes = {"init_encoder": str(tmp_path / "other")}
    with pytest.raises(ValueError, match=sentence):
        function(with_values("diffvqa", **changes), data, out)
    assert not out.exists()
    assert train(with_values("diffvqa"), data, out).step == 1  # the same folder is usable


@pytest.mark.parametrize("function", [dry_run, train])
def test_doubtful_settings_and_random_weights_are_named(function, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = tiny_store.write(tmp_path / "store")
    config = with_values("diffvqa", optim__warmup_steps=5, data__max_tokens=14)
    function(config, data, tmp_path / "run")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [line.partition(" samples")[2] or line for line in warnings] == [
        " are longer than data.max_tokens 14 and are truncated: raise it to train on complete "
        "texts",
        " are longer than data.max_tokens 14 and are truncated: raise it to train on complete "
        "texts",
        "the warm-up of 5 steps is longer than the run of 1: the learning rate does not reach "
        "optim.learning_rate; lower optim.warmup_steps",
    ]
    assert "language model: random weights (language_model.weights is not set)" in caplog.messages
    assert "encoder: random weights (init_encoder is not set)" in caplog.messages


def test_a_dry_run_of_a_started_run_reads_its_checkpoint(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = tiny_store.write(tmp_path / "store")
    train(tiny_model.config(train__steps=1), data, tmp_path / "run")
    dry_run(tiny_model.config(train__steps=1), data, tmp_path / "run")
    assert "resumes from step 1" in caplog.messages
