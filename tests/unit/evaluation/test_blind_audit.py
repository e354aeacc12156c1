"""The audit finds the leak of a generated question file, and none where there is none."""

import random

import pytest

from lapse.evaluation.blind_audit import CHANCE, CLASSIFIER, audit_questions
from lapse.evaluation.question_file import AuditQuestion

WORDS = ("edema", "hernia", "fracture", "effusion", "nodule", "atelectasis", "scar", "opacity")


def choices(count: int, *, leak: str = "", strength: float = 0.6, patients: int = 80):
    """Questions with four options; with probability `strength` the leak gives the true one away."""
    generator = random.Random(3)
    questions = []
    for number in range(count):
        options = generator.sample(WORDS, 4)
        position = generator.randrange(4)
        is_leaked = generator.random() < strength
        if leak == "length" and is_leaked:
            options[position] += " with a longer description"
        if leak == "length" and not is_leaked:
            options[generator.randrange(4)] += " with a longer description"
        if leak == "word" and is_leaked:
            options[position] = f"mild {options[position]}"
        if leak == "letter" and is_leaked:
            position = 2
        question = f"what is seen in image {number}?"
        patient = f"p{number % patients}"
        questions.append(AuditQuestion(question, options[position], tuple(options), patient))
    return questions


def interval(score):
    assert score.low is not None and score.high is not None
    return score.low, score.high


@pytest.mark.parametrize(
    ("leak", "reader", "expected"),
    [
        ("length", "longest option", 0.6 + 0.4 / 4),
        ("letter", "most frequent letter", 0.6 + 0.4 / 4),
        # the marked option where one is marked, any of the four where none is
        ("word", CLASSIFIER, 0.6 + 0.4 / 4),
    ],
)
def test_a_known_leak_is_measured(leak, reader, expected):
    audit = audit_questions(choices(800, leak=leak), resamples=200)
    low, high = interval(audit.accuracy[reader])
    assert low <= expected <= high and high - low < 0.1
    low, high = interval(audit.above[reader])
    assert low <= expected - 0.25 <= high
    assert interval(audit.above[CLASSIFIER])[0] > 0.3  # it finds each of the leaks
    assert audit.accuracy[CHANCE].value == 0.25
    assert (audit.kind, audit.num_questions, audit.num_patients) == ("multiple choice", 800, 80)


def test_without_a_leak_every_reader_is_at_chance():
    audit = audit_questions(choices(800), resamples=200)
    for name, score in audit.above.items():
        low, high = interval(score)
        assert high > -0.02 and low < 0.02 and abs(score.value) < 0.05, name


def free_questions(*, has_patients: bool):
    """Every patient has one answer to all questions, which name the patient by a word."""
    generator = random.Random(4)
    questions = []
    for patient in range(60):
        answer = generator.choice(("yes", "no"))
        for _ in range(6):
            text = f"does the film of word{patient} show edema?"
            questions.append(AuditQuestion(text, answer, (), f"p{patient}" * has_patients))
    return questions


def test_folds_by_patient_hide_what_other_questions_of_the_patient_tell(caplog):
    audit = audit_questions(free_questions(has_patients=True), resamples=200)
    assert abs(audit.above[CLASSIFIER].value) < 0.15
    leaking = audit_questions(free_questions(has_patients=False), resamples=200)
    assert leaking.accuracy[CLASSIFIER].value > 0.95
    assert "names no patient" in caplog.text


def test_the_answer_that_a_question_usually_has():
    generator = random.Random(5)
    questions = []
    for number in range(600):
        text, usual = generator.choice((("is there edema?", "no"), ("which view?", "pa view")))
        answer = usual if generator.random() < 0.8 else "other"
        questions.append(AuditQuestion(text, answer, (), f"p{number % 60}"))
    audit = audit_questions(questions, resamples=200)
    for name in ("most frequent answer of the question", CLASSIFIER):
        low, high = interval(audit.accuracy[name])
        assert low <= 0.8 <= high
    assert audit.accuracy["most frequent answer"].value < 0.5
    chance = audit.accuracy["random training answer"]
    assert chance.value == pytest.approx(2 * 0.4**2 + 0.2**2, abs=0.02)


def test_too_few_patients_and_half_named_patients_are_refused():
    with pytest.raises(ValueError, match="5 patients: at least 10 are needed"):
        audit_questions(choices(50, patients=5))
    mixed = [*free_questions(has_patients=True)[:30], *free_questions(has_patients=False)[:30]]
    with pytest.raises(ValueError, match="30 of 60 questions name no patient"):
        audit_questions(mixed)
