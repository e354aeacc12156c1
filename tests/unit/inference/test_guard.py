"""Guarded answers of models: the swap law for any weights, identical pixels, the readings."""

from itertools import pairwise

import numpy as np
import pytest

import tiny_runs
from lapse.config import GenerationConfig
from lapse.core.changes import QUESTION_CHANGED, invert
from lapse.core.grammar import parse
from lapse.core.types import Sample
from lapse.inference.answer import IDENTICAL_REASON, answer_images
from lapse.inference.generate import GenerateOptions, generate
from lapse.inference.guard import NUM_READINGS, brighter, generate_guarded, moved
from lapse.metrics.guard import GuardRule, decide
from lapse.training.run_folder import load_run
from random_answers import RandomAnswers

SIDE = 32
OPTIONS = GenerateOptions(
    GenerationConfig(num_beams=4, max_new_tokens=8, length_penalty=1.0, batch_size=16), 48, "beam"
)
RULE = GuardRule(threshold=0.3, null_limit=0.9)


def films(count, seed=0):
    """Smooth images, so that a perturbation changes them slightly."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    images = {}
    for number in range(count):
        a, b, c, d = draw.uniform(20, 110, 4)
        image = a + b * rows + c * columns + d * rows * columns + draw.normal(0, 2, rows.shape)
        images[f"film{number}"] = np.clip(image, 0, 255).astype(np.uint8)
    return images


def sample(first, second):
    return Sample(f"{first}/{second}", "diff_vqa", (first, second), "p", QUESTION_CHANGED, "", " ?")


def decided(model, samples, images, rule=RULE):
    answers = generate_guarded(model, samples, images.__getitem__, OPTIONS)
    return [decide(answer.evidence, rule) for answer in answers]


def pairs_in_both_orders(images):
    names = sorted(images)
    pairs = list(pairwise(names))
    return [sample(a, b) for a, b in pairs], [sample(b, a) for a, b in pairs]


def test_any_answers_keep_the_swap_law_exactly_and_beam_search_alone_does_not():
    model, images = RandomAnswers(3), films(41)
    forward, backward = pairs_in_both_orders(images)
    first, second = (decided(model, samples, images) for samples in (forward, backward))
    assert [answer.inverse() for answer in first] == second
    assert sum(bool(answer.stated) for answer in first) > len(first) / 8
    assert {answer.status for answer in first} >= {"changed", "undecided"}
    plain = [
        generate(model, samples, images.__getitem__, OPTIONS) for samples in (forward, backward)
    ]
    broken = sum(
        invert(parse(plain[0][row].text).changes) != parse(plain[1][row].text).changes
        for row in range(len(forward))
    )
    assert broken > len(forward) / 2  # without the guard


def test_random_weights_keep_the_swap_law_bit_for_bit(tmp_path):
    run = load_run(tiny_runs.write(tmp_path)[1], "cpu")
    images = films(9, seed=1)
    samples = pairs_in_both_orders(images)

    def read(item):
        return generate_guarded(run.model, [item], images.__getitem__, OPTIONS)[0]

    evidence = [[read(item) for item in part] for part in samples]
    for first, second in zip(*evidence, strict=True):
        assert first.evidence.inverse() == second.evidence


def test_identical_pixels_are_unchanged_without_a_reading():
    images = films(2)
    images["copy"] = images["film0"].copy()
    pair = [images["film0"], images["copy"]]
    config = tiny_runs.config("diffvqa")
    num_invented = 0
    for seed in range(5):
        model = RandomAnswers(seed)
        (answer,) = decided(model, [sample("film0", "copy")], images)
        assert (answer.status, answer.text) == ("unchanged", "nothing has changed.")
        shown = answer_images(model, config, pair, rule=RULE)
        assert shown.text == "nothing has changed." and shown.reasons == (IDENTICAL_REASON,)
        plain = answer_images(model, config, pair)
        assert plain.text == shown.beam
        num_invented += bool(plain.changes)
    assert num_invented >= 2  # without the guard


def test_the_plain_answer_is_that_of_the_pair_in_its_own_order():
    model, images = RandomAnswers(5), films(7, seed=2)
    for part in pairs_in_both_orders(images):
        plain = generate(model, part, images.__getitem__, OPTIONS)
        guarded = generate_guarded(model, part, images.__getitem__, OPTIONS)
        assert [answer.text for answer in plain] == [answer.plain.text for answer in guarded]


def test_perturbations_are_small():
    (image,) = films(1).values()
    for changed in (brighter(image), moved(image)):
        assert changed.shape == image.shape and changed.dtype == np.uint8
        difference = np.abs(changed.astype(int) - image)
        assert 0 < difference.mean() < 20
    assert NUM_READINGS == 6
    assert (brighter(image) >= image).all()
    assert (moved(image)[1:, 1:] == image[:-1, :-1]).all()


def test_a_question_about_one_image_has_no_guard():
    single = Sample("x", "vqa", ("film0",), "p", "is there edema?", "", " ?")
    with pytest.raises(ValueError, match="a guarded answer needs two"):
        generate_guarded(RandomAnswers(0), [single], films(1).__getitem__, OPTIONS)
