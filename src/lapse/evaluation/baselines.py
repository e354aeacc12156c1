"""Blind rows for a predictions file: the same samples, answered without ever seeing an image.

A score means little alone: templates earn n-gram points, and regions stand where they always
stand. What is handed out here comes from the training part of a store and from nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lapse.core.grammar import UNCHANGED
from lapse.core.registry import load
from lapse.core.tokenizer import box_text, without_box
from lapse.core.types import Box, Prediction, Sample
from lapse.data.store.store import Store
from lapse.metrics.blind_baselines import best_constant, mean_box, random_answer

CONSTANT = "constant answer"
NOTHING = "nothing has changed"  # always saying so; CIDEr likes it, so it has its own row
RANDOM = "random training answer"
MEAN_BOX = "mean box"
# Which row answers which task. AREF's phrase names no region: its box is the mean of them all.
TASKS: dict[str, tuple[str, ...]] = {
    CONSTANT: ("diff_vqa", "cap", "vqa", "progression"),
    NOTHING: ("diff_vqa",),
    RANDOM: ("diff_vqa", "cap", "gcap", "vqa"),
    MEAN_BOX: ("caref", "aref"),
}

# An evaluation set without a training part: "stable" is what a blind system would say.
UNTRAINED = {"progression": UNCHANGED}


def blind_baselines(
    store: Store, predictions: Sequence[Prediction], *, seed: int = 0
) -> dict[str, list[Prediction]]:
    """Row name -> what it says for those of the predictions whose task it can answer.

    Args:
        store: its training part is all that the rows know.
        predictions: of any system; only ids, tasks and prompts are read.
        seed: of the random answers; one sample always gets the same one.

    Returns:
        "constant answer", "nothing has changed", "random training answer" and "mean box", in
        this order, each only where it has something to answer. Where the constant is to say
        that nothing has changed, it is the only row that does.

    Raises:
        ValueError: the store has no training answer for a task of the predictions.
    """
    tasks = {item.task for item in predictions}
    texts = {
        task: [without_box(sample.answer) for sample in _training(store, task)]
        for task in sorted(tasks & {*TASKS[CONSTANT], *TASKS[RANDOM]} - UNTRAINED.keys())
    }
    constants = {
        task: UNTRAINED[task] if task in UNTRAINED else best_constant(texts[task])
        for task in sorted(tasks & {*TASKS[CONSTANT]})
    }
    usual = _usual_answers(store) if "vqa" in tasks else {}
    boxes = _mean_boxes(store) if tasks & {*TASKS[MEAN_BOX]} else {}

    def said(row: str, item: Prediction) -> str:
        if row == CONSTANT:
            return usual.get(item.prompt, constants[item.task])
        if row == NOTHING:
            return UNCHANGED
        if row == RANDOM:
            return random_answer(texts[item.task], item.id, seed)
        region = item.prompt.removeprefix("caref:").strip().removesuffix(":")
        box = boxes.get("" if item.task == "aref" else region)
        return box_text(box, store.info.size) if box else ""

    rows = {
        row: [replace(item, prediction=said(row, item)) for item in predictions if item.task in can]
        for row, can in TASKS.items()
    }
    if _says_nothing(constants.get("diff_vqa", "")):
        del rows[NOTHING]
    return {row: found for row, found in rows.items() if found}


def blind_text_baselines(
    training: Sequence[tuple[str, str]], predictions: Sequence[Prediction], *, seed: int = 0
) -> dict[str, list[Prediction]]:
    """The rows of `blind_baselines` that are texts, from (question, answer) of a training part
    alone.

    Args:
        training: of the same task as the predictions.
        predictions: of any system; only ids, tasks and prompts are read.
        seed: of the random answers.
    """
    answers = [answer for _, answer in training]
    constant = best_constant(answers)
    often: dict[str, Counter[str]] = {}
    for question, answer in training:
        often.setdefault(question, Counter())[answer] += 1
    usual = {question: found.most_common(1)[0][0] for question, found in often.items()}

    def constant_for(item: Prediction) -> str:
        return constant if item.task == "diff_vqa" else usual.get(item.prompt, constant)

    asked = [item for item in predictions if item.task in TASKS[NOTHING]]
    rows = {
        CONSTANT: [replace(item, prediction=constant_for(item)) for item in predictions],
        NOTHING: [replace(item, prediction=UNCHANGED) for item in asked],
        RANDOM: [
            replace(item, prediction=random_answer(answers, item.id, seed)) for item in predictions
        ],
    }
    if not asked or _says_nothing(constant):
        del rows[NOTHING]
    return rows


def has_training(store: Store, task: str) -> bool:
    """Whether the store can teach a blind row this task; a store of gold boxes cannot."""
    if task in UNTRAINED or not any(task in can for can in TASKS.values()):
        return True  # nothing to learn
    return next(_training(store, task), None) is not None


def _says_nothing(answer: str) -> bool:
    return answer.strip() == UNCHANGED


def _training(store: Store, name: str) -> Iterator[Sample]:
    task = load("tasks", name)(store.info.size)
    records = store.pairs_of("train") if task.records == "pairs" else store.studies_of("train")
    for record in records:
        yield from task.samples(record)


def _usual_answers(store: Store) -> dict[str, str]:
    """Question of one image -> its most frequent training answer, the first of several."""
    found: dict[str, Counter[str]] = {}
    for sample in _training(store, "vqa"):
        found.setdefault(sample.prompt, Counter())[sample.answer.strip()] += 1
    return {question: answers.most_common(1)[0][0] for question, answers in found.items()}


def _mean_boxes(store: Store) -> dict[str, Box]:
    """The mean training box of each region name, and of all of them under ""."""
    found: list[tuple[str, Box]] = []
    for study in store.studies_of("train"):
        for region in study.regions:
            if region.box is not None and region.phrases:
                found += [(region.name, region.box), ("", region.box)]
    return mean_box(found)
