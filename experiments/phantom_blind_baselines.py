"""Scores of image-blind baselines and of perfect answers on simulated pairs.

    python experiments/phantom_blind_baselines.py --patients 9400 --seed 11 --pairs 3000

No image is rendered. The baselines are fitted on the training split; the text-only model is a
4-gram model. Prints a Markdown table for docs/explanation/phantom.md. METEOR needs the extra
`metrics` (Java).
"""

from __future__ import annotations

import argparse
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lapse.core.changes import UNCHANGED, Change, invert, render
from lapse.core.findings import FINDINGS
from lapse.core.grammar import parse
from lapse.core.seeding import derive_permutation, derive_uniform
from lapse.core.types import Prediction
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.evaluation.score_tables import format_markdown, scores_table
from lapse.metrics.blind_baselines import best_constant, random_answer
from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.findings import difference, levels
from lapse.phantom.patients.identity import subject_number
from lapse.phantom.text.questions import QUESTION_CHANGED, pair_questions

GRAM = 4
METRICS = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "change F1", "exact match")


@dataclass(frozen=True)
class DifferencePair:
    """The findings of both images of a pair, and its difference answer."""

    id: str
    patient: str
    before: dict[str, str]  # finding -> level
    after: dict[str, str]
    answer: str


def difference_pairs(config: SimulateConfig, split: str, limit: int) -> list[DifferencePair]:
    """The first `limit` pairs of a split, in the order of patients."""
    pairs: list[DifferencePair] = []
    for patient, role in enumerate(assign_cohort(config)):
        if role.split != split or len(pairs) >= limit:
            continue
        history = draw_history(config, patient, role)
        subject = str(subject_number(config.seed, patient))
        for reference, main in history.pairs:
            before, after = reference.visit, main.visit
            questions = pair_questions(before, after, main.acquisition.view, seed=config.seed)
            (answer,) = [item.answer for item in questions if item.question == QUESTION_CHANGED]
            assert parse(answer).changes == difference(before, after)
            pair_id = f"{subject}/{before.index}/{after.index}"
            pairs.append(DifferencePair(pair_id, subject, levels(before), levels(after), answer))
    return pairs[:limit]


class MainImageBaseline:
    """Knows the findings of the main image, but not those of the reference.

    It calls a finding additional if the finding was new in a sufficient fraction of the training
    pairs in which it was present. The threshold maximizes the change F1 on the training pairs.
    """

    def __init__(self, pairs: Sequence[DifferencePair]) -> None:
        present, new = Counter[str](), Counter[str]()
        for pair in pairs:
            present.update(pair.after.keys())
            new.update(pair.after.keys() - pair.before.keys())
        self._rate = {name: new[name] / present[name] for name in present}
        thresholds = sorted({0.0, *self._rate.values()})
        self._threshold = max(thresholds, key=lambda threshold: self._f1(pairs, threshold))

    def changes(self, after: Iterable[str], threshold: float | None = None) -> set[Change]:
        threshold = self._threshold if threshold is None else threshold
        return {Change(name, "added") for name in after if self._rate.get(name, 0.0) >= threshold}

    def _f1(self, pairs: Sequence[DifferencePair], threshold: float) -> float:
        num_correct = num_predicted = num_true = 0
        for pair in pairs:
            predicted, true = self.changes(pair.after, threshold), parse(pair.answer).changes
            num_correct += len(predicted & true)
            num_predicted += len(predicted)
            num_true += len(true)
        return 2 * num_correct / max(1, num_predicted + num_true)


class GramModel:
    """A 4-gram model of the training answers, sampled with stateless randomness."""

    def __init__(self, answers: Iterable[str]) -> None:
        self._next: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for answer in answers:
            words = [""] * (GRAM - 1) + answer.split(" ") + ["\n"]
            for end in range(GRAM - 1, len(words)):
                self._next[tuple(words[end - GRAM + 1 : end])][words[end]] += 1

    def write(self, name: str) -> str:
        words = [""] * (GRAM - 1)
        while len(words) < 200:
            choices = self._next[tuple(words[1 - GRAM :])]
            sums = list(accumulate(choices.values()))
            quantile = derive_uniform("4-gram", name, len(words)) * sums[-1]
            word = list(choices)[bisect(sums, quantile)]
            if word == "\n":
                break
            words.append(word)
        return " ".join(words[GRAM - 1 :])


def reordered(pair: DifferencePair) -> str:
    """The true changes in a random order."""
    order = [FINDINGS[index] for index in derive_permutation(len(FINDINGS), "reordered", pair.id)]
    return render(parse(pair.answer).changes, order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=9400)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--pairs", type=int, default=3000)
    options = parser.parse_args()
    config = SimulateConfig(patients=options.patients, seed=options.seed, size=64)
    train = difference_pairs(config, "train", 20_000)
    test = difference_pairs(config, "test", options.pairs)
    if len(test) < options.pairs:
        raise SystemExit(f"only {len(test)} test pairs: increase --patients")
    texts = [pair.answer for pair in train]
    constant, main_image, grams = best_constant(texts), MainImageBaseline(train), GramModel(texts)
    rows = {
        "nothing has changed": [UNCHANGED for _ in test],
        "constant": [constant for _ in test],
        "random training answer": [random_answer(texts, pair.id, options.seed) for pair in test],
        "text only, 4-gram": [grams.write(pair.id) for pair in test],
        "main image only": [render(main_image.changes(pair.after)) for pair in test],
        "true, inverted": [render(invert(parse(pair.answer).changes)) for pair in test],
        "true, other order": [reordered(pair) for pair in test],
        "true": [pair.answer for pair in test],
    }
    table = {}
    for name, answers in rows.items():
        predictions = [
            Prediction(pair.id, "diff_vqa", answer, (pair.answer,), pair.patient)
            for pair, answer in zip(test, answers, strict=True)
        ]
        scores = evaluate(predictions, EvaluateOptions(seed=options.seed))["diff_vqa"]
        table[name] = {metric: scores[metric] for metric in METRICS if metric in scores}
    num_patients = len({pair.patient for pair in test})
    unchanged = sum(pair.answer == UNCHANGED for pair in test) / len(test)
    print(f"{len(train)} training pairs, {len(test)} test pairs of {num_patients} patients")
    print(f"seed {options.seed}; unchanged {unchanged:.3f}; constant: {constant!r}")
    columns = zip(*scores_table(table), strict=True)
    print(format_markdown([list(column) for column in columns]))
    print("means over samples have 95% intervals by patient; corpus scores have none")


if __name__ == "__main__":
    main()
