"""Every preset loads and says its paper; every wrong key names the nearest known one."""

from importlib import resources

import pytest

from lapse.config import load_config, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_preset_loads_and_is_short(name):
    config = load_config(name)
    assert config.name == name
    text = (resources.files("lapse") / "presets" / f"{name}.yaml").read_text("utf-8")
    assert len(text.splitlines()) <= 30
    assert "lapse train" in text


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_may_write_texts_as_long_as_it_learned(name):
    config = load_config(name)
    longest_question = 32
    assert config.decode.max_tokens >= config.data.max_tokens - longest_question


def test_the_paper_presets_hold_the_papers_numbers():
    pretrain, diffvqa = load_config("pretrain-lapse"), load_config("diffvqa-lapse")
    encoder = pretrain.model_config_object().encoder
    assert (encoder.image_size, encoder.patch_size, encoder.layers, encoder.width) == (
        448,
        14,
        27,
        1152,
    )
    assert encoder == diffvqa.model_config_object().encoder
    assert pretrain.data.tasks == ("cap", "aref", "gcap", "caref")
    assert pretrain.data.parallel_fraction == 0.25
    assert pretrain.optim.betas == (0.9, 0.999)
    assert (pretrain.optim.learning_rate, pretrain.optim.weight_decay) == (1e-4, 1e-2)
    assert (pretrain.optim.warmup_steps, pretrain.loop.batch_size, pretrain.loop.epochs) == (
        5000,
        32,
        5,
    )
    assert (diffvqa.optim.learning_rate, diffvqa.optim.warmup_fraction) == (2e-4, 0.1)
    assert diffvqa.model_config_object().label_smoothing == 0.11
    assert (diffvqa.loop.epochs, diffvqa.decode.beams) == (10, 10)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loop.stepz=3", r"loop\.stepz: unknown key; .*'steps'"),
        ("model.encoder.wdth=3", r"model\.encoder\.wdth: unknown key; .*'width'"),
        ("optim.learning_rate=-1", r"learning_rate: .*greater than 0 \(got -1\)"),
        ("data.tasks=[capp]", "no task 'capp'.*'cap'"),
        ("loop.epochs=2", r"epochs is 2 and steps is \d+: give exactly one"),
        ("model.encoder.heads=7", "7 heads do not divide width 192"),
        ("model_name=captoner", "did you mean 'captioner'"),
        ("loop.steps", "form a.b=value"),
        ("name.x=1", "not a group"),
    ],
)
def test_wrong_overrides_are_one_clear_sentence(override, message):
    with pytest.raises(ValueError, match=message):
        load_config("pretrain-tiny", [override])


def test_override_reaches_the_value():
    config = load_config("pretrain-tiny", ["model.encoder.layers=2", "loop.seed=7"])
    assert config.model_config_object().encoder.layers == 2
    assert config.loop.seed == 7


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'pretrain-tiny'"):
        load_config("pretrain-tny")
