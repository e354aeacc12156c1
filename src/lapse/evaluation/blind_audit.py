"""What a reader without images gets on a question file.

    multiple choice                           free questions
    chance                1 / options         random training answer   expected accuracy
    most frequent letter                      most frequent answer
    most frequent option  by its text         most frequent answer of the question
    longest option
    text-only classifier  linear, on question and option words (scikit-learn)

What is learnt (all but chance and length) comes from other patients: five folds by patient.
Intervals are bootstrap intervals by patient. "Above chance" is the accuracy minus chance.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lapse.core.extras import check_extra
from lapse.core.types import Score
from lapse.evaluation.question_file import AuditQuestion
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.statistics import FRACTION, Array, mean_score

logger = logging.getLogger(__name__)

FOLDS = 5
MAX_CLASSES = 50  # answers of free questions that the classifier can give
MAX_ITERATIONS = 500  # of its fit
CLASSIFIER = "text-only classifier"
CHANCE = "chance"


@dataclass(frozen=True, slots=True)
class BlindAudit:
    """Accuracies of readers without images.

    Attributes:
        kind: "multiple choice" or "free".
        num_questions: how many questions were audited.
        num_patients: of how many patients; 0 where the file does not name them.
        accuracy: reader -> accuracy with its interval; chance is the first.
        above: reader -> accuracy minus chance with its interval.
    """

    kind: str
    num_questions: int
    num_patients: int
    accuracy: dict[str, Score]
    above: dict[str, Score]


def audit_questions(
    questions: Sequence[AuditQuestion], *, resamples: int = RESAMPLES, seed: int = 0
) -> BlindAudit:
    """Audit questions that are all multiple choice, or all free.

    Args:
        questions: of one file. Without patients every question is its own unit, and what a model
            learns about one patient's other questions counts as a text-only gain.
        resamples: of the intervals.
        seed: of folds and intervals.

    Raises:
        ValueError: too few patients, patients for a part of the questions only, or no
            scikit-learn.
    """
    check_extra("audit", ["sklearn"], "the text-only classifier of lapse audit")
    named = [question.patient for question in questions if question.patient]
    if named and len(named) < len(questions):
        raise ValueError(
            f"{len(questions) - len(named)} of {len(questions)} questions name no patient: name "
            "all or none"
        )
    units = named or [str(number) for number in range(len(questions))]
    if not named:
        logger.warning(
            "the file names no patient: folds and intervals are by question, which hides what a "
            "model can learn from other questions about the same patient"
        )
    if len(set(units)) < 2 * FOLDS:
        raise ValueError(
            f"{len(set(units))} patients: at least {2 * FOLDS} are needed for {FOLDS} folds"
        )
    is_choice = bool(questions[0].options)
    readers = _choice_hits if is_choice else _free_hits
    hits = readers(questions, list(_folds(units, seed)), seed)
    accuracy = {
        name: mean_score(name, column.tolist(), {}, value_range=FRACTION)
        for name, column in hits.items()
    }
    (_, chance), *others = hits.items()
    above = {
        name: mean_score(name, (column - chance).tolist(), {}, value_range=(-1.0, 1.0))
        for name, column in others
    }
    return BlindAudit(
        "multiple choice" if is_choice else "free",
        len(questions),
        len(set(named)),
        with_intervals(accuracy, units, resamples=resamples, seed=seed),
        with_intervals(above, units, resamples=resamples, seed=seed),
    )


Fold = tuple[list[int], list[int]]  # training and test rows


def _folds(units: Sequence[str], seed: int) -> Iterator[Fold]:
    from sklearn.model_selection import GroupKFold

    splitter = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in splitter.split(np.zeros(len(units)), groups=np.array(units)):
        yield train.tolist(), test.tolist()


def _choice_hits(
    questions: Sequence[AuditQuestion], folds: Sequence[Fold], seed: int
) -> dict[str, Array]:
    """Reader -> [n] whether it chooses the true option."""
    if any(not question.options for question in questions):
        raise ValueError("some questions have options and some have none: audit them separately")
    hits = {CHANCE: np.array([1 / len(question.options) for question in questions])}

    def learnt(name: str, fit: Callable[[list[AuditQuestion]], Chooser]) -> None:
        hits[name] = np.zeros(len(questions))
        for train, test in folds:
            choose = fit([questions[row] for row in train])
            tested = [questions[row] for row in test]
            chosen = zip(choose(tested), tested, strict=True)
            hits[name][test] = [float(choice == item.position) for choice, item in chosen]

    learnt("most frequent letter", _frequent_letter)
    learnt("most frequent option", _frequent_option)
    hits["longest option"] = np.array([_longest_hit(question) for question in questions])
    learnt(CLASSIFIER, lambda train: _option_classifier(train, seed))
    return hits


Chooser = Callable[[Sequence[AuditQuestion]], list[int]]


def _frequent_letter(train: Sequence[AuditQuestion]) -> Chooser:
    counts = Counter(question.position for question in train)
    return lambda questions: [
        max(range(len(question.options)), key=lambda i: counts[i]) for question in questions
    ]


def _frequent_option(train: Sequence[AuditQuestion]) -> Chooser:
    """The option whose text was most often right where it was offered, with one added miss."""
    right = Counter(question.answer for question in train)
    offered = Counter(option for question in train for option in question.options)

    def choose(question: AuditQuestion) -> int:
        rates = [right[option] / (1 + offered[option]) for option in question.options]
        return rates.index(max(rates))

    return lambda questions: [choose(question) for question in questions]


def _longest_hit(question: AuditQuestion) -> float:
    """The probability of the true option when one of the longest options is drawn."""
    longest = max(map(len, question.options))
    of_length = [option for option in question.options if len(option) == longest]
    return (question.answer in of_length) / len(of_length)


def _option_classifier(train: Sequence[AuditQuestion], seed: int) -> Chooser:
    """A logistic regression on the words of an option, and on pairs with words of the question."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pairs = [(question, i) for question in train for i in range(len(question.options))]
    options = {"solver": "liblinear", "class_weight": "balanced"}
    model = make_pipeline(
        CountVectorizer(analyzer=_option_words, binary=True, min_df=2),
        LogisticRegression(max_iter=MAX_ITERATIONS, random_state=seed, **options),
    )
    model.fit(pairs, [i == question.position for question, i in pairs])

    def choose(questions: Sequence[AuditQuestion]) -> list[int]:
        tested = [(question, i) for question in questions for i in range(len(question.options))]
        scores = iter(model.decision_function(tested).tolist())
        by_question = [[next(scores) for _ in question.options] for question in questions]
        return [values.index(max(values)) for values in by_question]

    return choose


def _option_words(pair: tuple[AuditQuestion, int]) -> list[str]:
    question, position = pair
    words = question.options[position].split()
    of_question = set(question.text.split())
    ranks = sorted(len(option) for option in question.options)
    return [
        *words,
        *(f"{first} {second}" for first, second in pairwise(words)),
        *(f"{word} ? {other}" for word in of_question for other in set(words)),
        f"letter {position}",
        f"length rank {ranks.index(len(question.options[position]))}",
    ]


def _free_hits(
    questions: Sequence[AuditQuestion], folds: Sequence[Fold], seed: int
) -> dict[str, Array]:
    """Reader -> [n] whether it gives the true answer; of the random answer its probability."""
    names = ("random training answer", "most frequent answer",
             "most frequent answer of the question", CLASSIFIER)  # fmt: skip
    hits = {name: np.zeros(len(questions)) for name in names}
    for train, test in folds:
        known = [questions[row] for row in train]
        counts = Counter(question.answer for question in known)
        (frequent, _), *_ = counts.most_common(1)
        by_question: dict[str, Counter[str]] = defaultdict(Counter)
        for question in known:
            by_question[question.text][question.answer] += 1
        classify = _answer_classifier(known, counts, seed)
        answers = classify([questions[row].text for row in test])
        for row, answer in zip(test, answers, strict=True):
            question = questions[row]
            same = by_question.get(question.text)
            usual = same.most_common(1)[0][0] if same else frequent
            hits[names[0]][row] = counts[question.answer] / len(known)
            hits[names[1]][row] = float(frequent == question.answer)
            hits[names[2]][row] = float(usual == question.answer)
            hits[CLASSIFIER][row] = float(answer == question.answer)
    return hits


def _answer_classifier(
    train: Sequence[AuditQuestion], counts: Counter[str], seed: int
) -> Callable[[Sequence[str]], list[str]]:
    """A logistic regression from the words of a question to one of the most frequent answers."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classes = [answer for answer, _ in counts.most_common(MAX_CLASSES)]
    known = [question for question in train if question.answer in set(classes)]
    if len(classes) < 2:
        return lambda texts: [classes[0]] * len(texts)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+"),
        LogisticRegression(max_iter=MAX_ITERATIONS, random_state=seed),
    )
    model.fit([question.text for question in known], [question.answer for question in known])
    return lambda texts: [str(answer) for answer in model.predict(texts)]
