"""Every preset loads and says its paper; every wrong key names the nearest known one."""

from importlib import resources

import pytest

from lapse.config import check_config, load_config, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_preset_loads_and_is_short(name):
    config = load_config(name)
    assert config.name == name
    text = (resources.files("lapse") / "presets" / f"{name}.yaml").read_text("utf-8")
    assert len(text.splitlines()) <= 30
    assert "lapse train" in text


@pytest.mark.parametrize("name", preset_names())
def test_presets_generate_texts_as_long_as_the_training_texts(name):
    config = load_config(name)
    longest_question = 32
    assert config.generation.max_new_tokens >= config.data.max_tokens - longest_question


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
    assert (pretrain.optim.warmup_steps, pretrain.train.batch_size, pretrain.train.epochs) == (
        5000,
        32,
        5,
    )
    assert (diffvqa.optim.learning_rate, diffvqa.optim.warmup_fraction) == (2e-4, 0.1)
    assert diffvqa.model_config_object().label_smoothing == 0.11
    assert (diffvqa.train.epochs, diffvqa.generation.num_beams) == (10, 10)


def test_what_the_experiment_added_is_off_in_the_paper_presets():
    paper, plus = load_config("pretrain-lapse"), load_config("pretrain-lapse-plus")
    data = plus.data.model_copy(update={"parallel_fraction": 0.25})
    assert plus.data.parallel_fraction == 0.0
    assert plus.model_copy(update={"name": paper.name, "data": data}) == paper
    assert not load_config("diffvqa-lapse").model_config_object().difference_tokens
    for preset in ("pretrain-lapse", "diffvqa-lapse"):
        augment = load_config(preset).data.augment
        assert augment.fraction == augment.exchanged_pairs == augment.repeated_films == 0.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", r"train\.stepz: unknown key; .*'steps'"),
        ("model.encoder.wdth=3", r"model\.encoder\.wdth: unknown key; .*'width'"),
        ("optim.learning_rate=-1", r"learning_rate: .*greater than 0 \(got -1\)"),
        ("data.tasks=[capp]", "no tasks plug-in named 'capp'.*'cap'"),
        ("train.epochs=2", r"epochs is 2 and steps is \d+: give exactly one"),
        ("model.encoder.heads=7", "7 heads do not divide width 192"),
        ("model_type=captoner", "did you mean 'captioner'"),
        ("train.steps", "form a.b=value"),
        ("name.x=1", "not a group"),
    ],
)
def test_wrong_overrides_are_one_clear_sentence(override, message):
    with pytest.raises(ValueError, match=message):
        load_config("pretrain-tiny", [override])


def test_override_reaches_the_value():
    config = load_config("pretrain-tiny", ["model.encoder.layers=2", "train.seed=7"])
    assert config.model_config_object().encoder.layers == 2
    assert config.train.seed == 7


@pytest.mark.parametrize("preset", ["pretrain-tiny", "diffvqa-rgag-tiny", "pretrain-regional-tiny"])
def test_a_configuration_without_tasks_trains_those_of_its_model(preset):
    assert load_config(preset, ["data.tasks=[]"]).data.tasks == load_config(preset).data.tasks


def test_registered_only_refuses_class_paths():
    values = load_config("pretrain-tiny").model_dump(mode="json")
    assert check_config(values, registered_only=True) == check_config(values)
    values["data"]["tasks"] = ["lapse.data.tasks.cap:Cap"]
    assert check_config(values).data.tasks == ("lapse.data.tasks.cap:Cap",)
    with pytest.raises(
        ValueError, match=r"data: 'lapse\.data\.tasks\.cap:Cap' is not a registered"
    ):
        check_config(values, registered_only=True)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'pretrain-tiny'"):
        load_config("pretrain-tny")


@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        *[
            ("pretrain-lapse", [f"data.tasks=[{tasks}]", f"train.batch_size={8 * count}"])
            for tasks, count in (
                ("cap,gcap,caref", 3), ("cap,aref,caref", 3), ("cap,aref,gcap", 3), ("cap", 1)
            )
        ],
        ("pretrain-lapse", ["model.encoder.image_size=224"]),
        ("diffvqa-lapse", ["model.encoder.image_size=224"]),
        *[("pretrain-lapse", [f"data.parallel_fraction={share}"]) for share in (0.0, 0.25, 0.5)],
    ],
)  # fmt: skip
def test_every_row_of_tables_4_to_6_is_reached_by_overrides(preset, overrides):
    config = load_config(preset, overrides)
    assert config.train.batch_size % len(config.data.tasks) == 0


def test_every_way_to_pretrain_has_the_same_encoder_epochs_and_optimizer():
    paper = load_config("pretrain-lapse")
    for name in ("global", "regional", "blip2", "cappa", "locca"):
        other = load_config(f"pretrain-{name}")
        assert other.model_config_object().encoder == paper.model_config_object().encoder
        # Only temperature and bias of a contrastive loss have a learning rate of their own.
        optim = other.optim.model_copy(update={"scalar_learning_rate": None})
        assert (optim, other.train.epochs) == (paper.optim, paper.train.epochs)
        needed = {*other.data.tasks, *other.data.require_tasks}
        assert needed == set(paper.data.tasks), name
    assert load_config("pretrain-cappa").data.parallel_fraction == 0.75
    assert load_config("pretrain-locca").data.tasks == ("cap", "aref", "gcap")
    assert load_config("pretrain-blip2").model_config_object().qformer.queries == 32
