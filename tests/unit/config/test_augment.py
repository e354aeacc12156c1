"""`data.augment`: off by default, limits, and what it cannot be combined with."""

import pytest

from lapse.config import AugmentConfig, load_config


def test_nothing_is_changed_by_default():
    assert not AugmentConfig().is_active
    assert load_config("pretrain-small").data.augment == AugmentConfig()
    changed = load_config("pretrain-small", ["data.augment.fraction=0.5"])
    assert changed.data.augment.is_active
    assert AugmentConfig(repeated_films=0.1).is_active


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fraction": 1.5}, "fraction"),
        ({"scale": (1.1, 1.3)}, "scale is 1.1 .. 1.3"),
        ({"sharpness": (-2.0, 1.0)}, "sharpness is -2.0 .. 1.0"),
        ({"exchanged_pairs": 0.7, "repeated_films": 0.4}, "more than all pairs"),
    ],
)
def test_limits(values, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**values)


def test_changed_films_have_no_cached_features():
    overrides = ["data.augment.fraction=0.5", "data.cache_features=bf16"]
    with pytest.raises(ValueError, match=r"augment\.fraction and cache_features"):
        load_config("diffvqa-small", overrides)
    assert load_config("diffvqa-small", ["data.augment.exchanged_pairs=0.5"])
