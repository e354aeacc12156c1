"""Image-blind baselines use training answers, never an image or a test answer."""

import random

import pytest
from pycocoevalcap.rouge.rouge import Rouge

from lapse.core.types import Box
from lapse.metrics.blind_baselines import best_constant, mean_box, random_answer
from lapse.metrics.rouge import rouge_l

EDEMA = "the main image has an additional finding of edema than the reference image. "
HERNIA = "the main image has an additional finding of hernia than the reference image. "
NOTHING = "nothing has changed."


def test_rouge_l_equals_pycocoevalcap():
    generator = random.Random(0)
    for _ in range(300):
        answer, reference = (
            [generator.choice("abcde") for _ in range(generator.randint(1, 12))] for _ in range(2)
        )
        expected = Rouge().calc_score([" ".join(answer)], [" ".join(reference)])
        assert rouge_l(answer, reference) == pytest.approx(expected, abs=1e-12)
    assert rouge_l([], ["a"]) == rouge_l(["a"], []) == 0.0


def test_the_best_constant_is_not_always_the_most_frequent():
    # Two of five are "nothing", but the other three share all their words but one.
    answers = [NOTHING, NOTHING, EDEMA, HERNIA, HERNIA.replace("hernia", "fracture")]
    assert best_constant(answers) == EDEMA
    assert best_constant([NOTHING] * 9 + [EDEMA]) == NOTHING


def test_the_best_constant_is_found_by_trying_all():
    generator = random.Random(1)
    answers = [
        " ".join(generator.choices(["edema", "hernia", "small", "no", "new"], k=5))
        for _ in range(15)
    ]

    def total(answer: str) -> float:
        return sum(rouge_l(answer.split(), other.split()) for other in answers)

    assert total(best_constant(answers)) == pytest.approx(max(map(total, answers)))


def test_random_answers_depend_on_sample_and_seed_alone():
    answers = [NOTHING] * 3 + [EDEMA] * 2
    drawn = [random_answer(answers, f"s{index}", 0) for index in range(400)]
    assert drawn == [random_answer(answers, f"s{index}", 0) for index in range(400)]
    assert drawn != [random_answer(answers, f"s{index}", 1) for index in range(400)]
    assert drawn.count(EDEMA) / 400 == pytest.approx(0.4, abs=0.1)


def test_mean_boxes_by_region():
    rows = [
        ("spine", Box(0, 0, 0.5, 0.5)),
        ("carina", Box(0, 0, 1, 1)),
        ("spine", Box(0.5, 0.5, 1, 1)),
    ]
    assert mean_box(rows) == {"spine": Box(0.25, 0.25, 0.75, 0.75), "carina": Box(0, 0, 1, 1)}
    assert mean_box([]) == {}


def test_no_training_answer_is_an_error():
    with pytest.raises(ValueError, match="needs training answers"):
        best_constant([])
    with pytest.raises(ValueError, match="needs training answers"):
        random_answer([], "s1", 0)
