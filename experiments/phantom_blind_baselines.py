"""What a score means on simulated pairs: rows that never compare two images, and perfect ones.

    python experiments/phantom_blind_baselines.py --patients 9400 --seed 11 --pairs 3000

States and words only, nothing is rendered. All that a blind row knows comes from the training
part. Prints a table in Markdown for docs/explanation/phantom.md; METEOR needs the extra `metrics`
(Java).
Rows of a text model that writes freely are those of a 4-gram model here; a GPT-2 decoder without
images is in experiments/log.md.
"""

from __future__ import annotations

import argparse
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lapse.core.grammar import FINDINGS, UNCHANGED, Change, invert, parse, render
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
EXAMPLES = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "change F1", "exact match")


@dataclass(frozen=True)
class PredictionRequest:
    """One pair as words: what is on each image, and the answer as written."""

    id: str
    patient: str
    before: dict[str, str]  # finding -> level
    after: dict[str, str]
    answer: str


def asked_pairs(config: SimulateConfig, part: str, limit: int) -> list[PredictionRequest]:
    """Pairs of one part, as many patients as give `limit` pairs, in the order of patients."""
    found: list[PredictionRequest] = []
    for patient, role in enumerate(assign_cohort(config)):
        if role.split != part or len(found) >= limit:
            continue
        history = draw_history(config, patient, role)
        for reference, main in history.pairs:
            one, two = reference.visit, main.visit
            questions = pair_questions(one, two, main.acquisition.view, seed=config.seed)
            (answer,) = [item.answer for item in questions if item.question == QUESTION_CHANGED]
            assert parse(answer).changes == difference(one, two)
            name = f"{subject_number(config.seed, patient)}/{one.index}/{two.index}"
            found.append(
                PredictionRequest(name, name.split("/")[0], levels(one), levels(two), answer)
            )
    return found[:limit]


class MainReader:
    """Sees the main image perfectly and the reference not at all.

    Says "additional" of every finding of the main image that was new in more than a share of the
    training pairs where it was present, the share that gave the best change F1 in training.
    """

    def __init__(self, pairs: Sequence[PredictionRequest]) -> None:
        there, new = Counter[str](), Counter[str]()
        for pair in pairs:
            there.update(pair.after.keys())
            new.update(pair.after.keys() - pair.before.keys())
        self._share = {name: new[name] / there[name] for name in there}
        self._least = max(sorted({0.0, *self._share.values()}), key=lambda s: self._f1(pairs, s))

    def changes(self, after: Iterable[str], least: float | None = None) -> set[Change]:
        least = self._least if least is None else least
        return {Change(name, "added") for name in after if self._share.get(name, 0.0) >= least}

    def _f1(self, pairs: Sequence[PredictionRequest], least: float) -> float:
        right = said = true = 0
        for pair in pairs:
            ours, theirs = self.changes(pair.after, least), parse(pair.answer).changes
            right, said, true = right + len(ours & theirs), said + len(ours), true + len(theirs)
        return 2 * right / max(1, said + true)


class Grams:
    """A 4-gram model of the training answers, read back by counted draws."""

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
            mark = derive_uniform("4-gram", name, len(words)) * sums[-1]
            word = list(choices)[bisect(sums, mark)]
            if word == "\n":
                break
            words.append(word)
        return " ".join(words[GRAM - 1 :])


def reordered(pair: PredictionRequest) -> str:
    """The same facts, in an order that has nothing to do with that of the reference."""
    order = [FINDINGS[index] for index in derive_permutation(len(FINDINGS), "reordered", pair.id)]
    return render(parse(pair.answer).changes, order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=9400)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--pairs", type=int, default=3000)
    options = parser.parse_args()
    config = SimulateConfig(patients=options.patients, seed=options.seed, size=64)
    train = asked_pairs(config, "train", 20_000)
    test = asked_pairs(config, "test", options.pairs)
    if len(test) < options.pairs:
        raise SystemExit(f"only {len(test)} test pairs: more --patients are needed")
    texts = [pair.answer for pair in train]
    constant, reader, grams = best_constant(texts), MainReader(train), Grams(texts)
    rows = {
        "nothing has changed": [UNCHANGED for _ in test],
        "constant": [constant for _ in test],
        "random training answer": [random_answer(texts, pair.id, options.seed) for pair in test],
        "text only, 4-gram": [grams.write(pair.id) for pair in test],
        "main image alone": [render(reader.changes(pair.after)) for pair in test],
        "true, inverted": [render(invert(parse(pair.answer).changes)) for pair in test],
        "true, other order": [reordered(pair) for pair in test],
        "true": [pair.answer for pair in test],
    }
    scores = {}
    for name, said in rows.items():
        predictions = [
            Prediction(pair.id, "diff_vqa", text, (pair.answer,), pair.patient)
            for pair, text in zip(test, said, strict=True)
        ]
        found = evaluate(predictions, EvaluateOptions(seed=options.seed))["diff_vqa"]
        scores[name] = {key: found[key] for key in EXAMPLES if key in found}
    num_patients = len({pair.patient for pair in test})
    unchanged = sum(pair.answer == UNCHANGED for pair in test) / len(test)
    print(f"{len(train)} training pairs, {len(test)} test pairs of {num_patients} patients")
    print(f"seed {options.seed}; unchanged {unchanged:.3f}; constant: {constant!r}")
    table = scores_table(scores)
    print(format_markdown([list(column) for column in zip(*table, strict=True)]))
    print("mean ROUGE-L and the like carry 95% intervals by patient; corpus scores have none")


if __name__ == "__main__":
    main()
