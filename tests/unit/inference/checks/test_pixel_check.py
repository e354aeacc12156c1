"""The input check from pixels: fitted on rendered films, it refuses what is not a film."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lapse.images.film_facts import NO_FACTS
from lapse.inference.checks.check_file import check_tensors, check_values, parse_check, parse_rule
from lapse.inference.checks.checker import NO_PIXEL_CHECK, InputChecker
from lapse.inference.checks.pixel_check import (
    NEGATIVE,
    PixelCheck,
    damaged_films,
    fit_pixel_check,
)
from lapse.metrics.guard import GuardRule

SIDE = 32


def encode(images):
    """Four pooled grey values and four gradients of each quarter, as two tokens."""
    x = images.float()[:, 0] / 255
    small = torch.nn.functional.avg_pool2d(x[:, None], SIDE // 4)[:, 0]
    gradients = (x[:, 1:] - x[:, :-1]).abs().mean(dim=2)
    return (
        torch.cat([small.reshape(len(x), 1, -1), small.reshape(len(x), 1, -1)], dim=1)
        + (gradients.mean(dim=1)[:, None, None])
    )


def films(count, seed):
    """Dark lungs and a bright middle that is wider below, with noise."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    images = []
    for _ in range(count):
        width = 0.12 + 0.15 * rows + draw.normal(0, 0.01)
        middle = np.exp(-(((columns - 0.5 + draw.normal(0, 0.02)) / width) ** 2))
        image = 40 + 140 * middle + 60 * (rows > 0.8) + draw.normal(0, 6, rows.shape)
        images.append(np.clip(image, 0, 255))
    return np.stack(images).astype(np.uint8)


@pytest.fixture(scope="module")
def check():
    return fit_pixel_check(encode, films(300, 0), films(200, 1), facts={"fitted on": "drawings"})


def levels(check, images):
    return InputChecker(check, encode).levels(images)


def test_films_pass_and_what_is_not_a_film_is_refused(check):
    fresh = levels(check, films(300, 2))
    assert fresh.count("refused") == 0 and fresh.count("warning") <= 15
    draw = np.random.default_rng(3)
    noise = draw.integers(0, 256, (40, SIDE, SIDE)).astype(np.uint8)
    assert levels(check, noise).count("refused") == 40
    damaged = levels(check, damaged_films(films(40, 4)))
    assert damaged.count("refused") >= 0.95 * len(damaged)


def test_without_the_check_the_same_inputs_pass(check):
    noise = np.random.default_rng(3).integers(0, 256, (4, SIDE, SIDE)).astype(np.uint8)
    assert levels(None, noise) == [""] * 4
    issues = InputChecker(None, encode).issues({"image": NO_FACTS}, noise[:1])
    assert issues == (NO_PIXEL_CHECK,)


def test_the_kind_of_the_fault_is_named_beside_a_refusal(check):
    (film,) = films(1, 5)
    checker = InputChecker(check, encode)
    for image, words in (
        (film[::-1, ::-1], "turned by 180 degrees"),
        (np.rot90(film), "turned by 90 degrees to the left"),
        (np.rot90(film, 3), "turned by 90 degrees to the right"),
        (255 - film, NEGATIVE),
    ):
        (issue,) = checker.issues({"main image": NO_FACTS}, [np.ascontiguousarray(image)])
        assert issue.level == "refused" and words in issue.message
        assert issue.message.startswith("the main image is not like a frontal chest film")
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    assert check.kind(noise) == "" and check.kind(film) == ""


def test_a_check_survives_its_file_exactly(check):
    again = parse_check(check_tensors(check), check_values(check))
    images = np.concatenate([films(20, 6), damaged_films(films(4, 7))])
    assert levels(again, images) == levels(check, images)
    assert again.facts == {"fitted on": "drawings"}
    assert (again.warn, again.refuse) == (check.warn, check.refuse)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, values: values.update(format=9), "has format 9"),
        (lambda tensors, values: tensors.pop("film"), "has the arrays"),
        (lambda tensors, values: tensors.update(film=torch.zeros(8, 8)), "a film"),
        (lambda tensors, values: tensors.update(mean=torch.zeros(3)), "directions"),
        (lambda tensors, values: tensors["mean"].fill_(float("nan")), "not finite"),
        (lambda tensors, values: values.update(warn=9.0), "warns above 9"),
        (lambda tensors, values: values.update(median=-1.0), "the median is positive"),
        (lambda tensors, values: values.pop("warn"), "cannot be read"),
    ],
)
def test_a_damaged_check_is_refused(check, change, message):
    tensors = {name: value.clone() for name, value in check_tensors(check).items()}
    values = check_values(check)
    change(tensors, values)
    with pytest.raises(ValueError, match=message):
        parse_check(tensors, values)


def test_too_few_films_or_films_that_cannot_be_told_apart_are_errors():
    with pytest.raises(ValueError, match="10 training films cannot fit"):
        fit_pixel_check(encode, films(10, 0), films(60, 1))
    symmetric = np.random.default_rng(0).integers(0, 256, (100, SIDE, SIDE)).astype(np.uint8)
    with pytest.raises(ValueError, match="does not separate"):
        fit_pixel_check(encode, symmetric[:50], symmetric[50:])


def test_limits_of_a_guard_are_validated():
    values = {"threshold": 0.4, "null_limit": 0.5, "target": 0.85, "precision": 0.9}
    values |= {"recall": 0.5, "patients": 3, "answers": 4}
    assert parse_rule(values) == GuardRule(**values) and parse_rule({}) is None
    for wrong, message in (({"threshold": 1.5}, "outside"), ({"more": 1}, "lacks or adds more")):
        with pytest.raises(ValueError, match=message):
            parse_rule({**values, **wrong})
    with pytest.raises(ValueError, match="not a number"):
        parse_rule({**values, "target": "high"})


def test_limits_must_be_ordered(check):
    with pytest.raises(ValueError, match="the first limit the lower one"):
        replace(check, refuse=check.warn)
    assert isinstance(check, PixelCheck)
