"""Image-blind baselines for a predictions file: the same samples, answered without any image.

A score means little alone: templates earn n-gram points, and regions are nearly always in the
same place. All answers here come from the train split of a store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lapse.core.changes import UNCHANGED
from lapse.core.registry import load
from lapse.core.tokenizer import box_text, without_box
from lapse.core.types import Box, Prediction, Sample
from lapse.data.store.store import Store
from lapse.data.tasks.diff_vqa import TRAINED_ON
from lapse.metrics.blind_baselines import best_constant, mean_box, random_answer

CONSTANT = "constant answer"
NOTHING = "nothing has changed"  # a separate baseline, because it scores well by CIDEr
RANDOM = "random training answer"
MEAN_BOX = "mean box"
BASELINES = (CONSTANT, NOTHING, RANDOM, MEAN_BOX)
# The tasks of each baseline. The phrase of AREF names no region: its box is the mean of all.
TASKS: dict[str, tuple[str, ...]] = {
    CONSTANT: ("diff_vqa", "cap", "vqa", "progression", "expert_changes"),
    NOTHING: ("diff_vqa", "expert_changes"),
    RANDOM: ("diff_vqa", "cap", "gcap", "vqa", "expert_changes"),
    MEAN_BOX: ("caref", "aref"),
}

# Constant answers of evaluation sets without a train split.
UNTRAINED = {"progression": UNCHANGED}


def blind_baselines(
    store: Store, predictions: Sequence[Prediction], *, seed: int = 0
) -> dict[str, list[Prediction]]:
    """Baseline name -> its answers to those of the samples whose task it can answer.

    Args:
        store: only its train split is read.
        predictions: of any system; only ids, tasks and prompts are read.
        seed: of the random answers; a sample gets the same answer in every call.

    Returns:
        "constant answer", "nothing has changed", "random training answer" and "mean box", in
        this order, each only where it has something to answer. "nothing has changed" is left
        out where it is the constant answer.

    Raises:
        ValueError: the store has no training answer for a task of the predictions.
    """
    tasks = {item.task for item in predictions}
    texts = {
        task: [without_box(sample.answer) for sample in _training_samples(store, task)]
        for task in sorted(tasks & {*TASKS[CONSTANT], *TASKS[RANDOM]} - UNTRAINED.keys())
    }
    constants = {
        task: UNTRAINED[task] if task in UNTRAINED else best_constant(texts[task])
        for task in sorted(tasks & {*TASKS[CONSTANT]})
    }
    frequent: dict[str, str] = {}
    if "vqa" in tasks:
        samples = _training_samples(store, "vqa")
        frequent = _most_frequent((sample.prompt, sample.answer.strip()) for sample in samples)
    boxes = _mean_boxes(store) if tasks & {*TASKS[MEAN_BOX]} else {}

    def mean_box_of(item: Prediction) -> str:
        region = item.prompt.removeprefix("caref:").strip().removesuffix(":")
        box = boxes.get("" if item.task == "aref" else region)
        return box_text(box, store.info.size) if box else ""

    answers: dict[str, Callable[[Prediction], str]] = {
        CONSTANT: lambda item: frequent.get(item.prompt, constants[item.task]),
        NOTHING: lambda _: UNCHANGED,
        RANDOM: lambda item: random_answer(texts[item.task], item.id, seed),
        MEAN_BOX: mean_box_of,
    }
    constant = next((constants[task] for task in TASKS[NOTHING] if task in constants), "")
    return _answered(predictions, answers, TASKS, constant)


def blind_text_baselines(
    training: Sequence[tuple[str, str]], predictions: Sequence[Prediction], *, seed: int = 0
) -> dict[str, list[Prediction]]:
    """The text baselines of `blind_baselines`, from (question, answer) of a train split.

    Args:
        training: of the same task as the predictions.
        predictions: of any system; only ids, tasks and prompts are read.
    """
    texts = [answer for _, answer in training]
    constant = best_constant(texts)
    frequent = _most_frequent(training)

    def constant_for(item: Prediction) -> str:
        return constant if item.task == "diff_vqa" else frequent.get(item.prompt, constant)

    answers: dict[str, Callable[[Prediction], str]] = {
        CONSTANT: constant_for,
        NOTHING: lambda _: UNCHANGED,
        RANDOM: lambda item: random_answer(texts, item.id, seed),
    }
    every_task = {item.task for item in predictions}
    tasks: dict[str, Collection[str]] = {
        CONSTANT: every_task, NOTHING: TASKS[NOTHING], RANDOM: every_task
    }  # fmt: skip
    return _answered(predictions, answers, tasks, constant)


def has_training(store: Store, task: str) -> bool:
    """Whether the store has training answers for the baselines of this task."""
    if task in UNTRAINED or not any(task in tasks for tasks in TASKS.values()):
        return True  # no baseline needs training answers
    return next(_training_samples(store, task), None) is not None


def _answered(
    predictions: Sequence[Prediction],
    answers: Mapping[str, Callable[[Prediction], str]],
    tasks: Mapping[str, Collection[str]],
    constant: str,
) -> dict[str, list[Prediction]]:
    """The baselines that answer anything, without a second one that is always unchanged."""
    baselines = {}
    for name in tasks:
        answer = answers[name]
        of_tasks = [item for item in predictions if item.task in tasks[name]]
        if of_tasks and not (name == NOTHING and constant.strip() == UNCHANGED):
            baselines[name] = [replace(item, prediction=answer(item)) for item in of_tasks]
    return baselines


def _training_samples(store: Store, name: str) -> Iterator[Sample]:
    task = load("tasks", TRAINED_ON.get(name, name))(store.info.size)
    records = store.pairs_of("train") if task.records == "pairs" else store.studies_of("train")
    for record in records:
        yield from task.samples(record)


def _most_frequent(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Question -> its most frequent answer; of equally frequent ones the first."""
    counts: dict[str, Counter[str]] = {}
    for question, answer in pairs:
        counts.setdefault(question, Counter())[answer] += 1
    return {question: answers.most_common(1)[0][0] for question, answers in counts.items()}


def _mean_boxes(store: Store) -> dict[str, Box]:
    """The mean training box of each region name, and of all regions under ""."""
    boxes: list[tuple[str, Box]] = []
    for study in store.studies_of("train"):
        for region in study.regions:
            if region.box is not None and region.phrases:
                boxes += [(region.name, region.box), ("", region.box)]
    return mean_box(boxes)
