"""Where references, image-blind baselines and provenance come from: a store, a table, or the file.

store of the evaluated patients   references, baselines from its train split, subgroups
question table                    references and text baselines
neither                           the references of the predictions file
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lapse.core.files import sha256_of
from lapse.core.registry import load, names
from lapse.core.types import Prediction
from lapse.data.datasets.plain_info import REMARK
from lapse.data.store.leakage import check_no_shared_patients
from lapse.data.store.store import Store, open_store
from lapse.evaluation.blind_baselines import blind_baselines, blind_text_baselines, has_training
from lapse.evaluation.predictions.joining import JoinOptions, read_any
from lapse.evaluation.predictions.questions import (
    Questions,
    split_of_store,
    split_of_table,
    training_answers,
)
from lapse.evaluation.readers import changes_facts, with_reader
from lapse.evaluation.scores_file import ANSWERED, REFERENCES, predictions_facts
from lapse.metrics.consistency import split_id

DEFAULT_TASK = "diff_vqa"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOptions(JoinOptions):
    """Which data the references and baselines come from, and how the rows are read.

    Attributes:
        data: store of the evaluated patients, or None.
        baseline_data: store of other patients whose train split the baselines use; None for
            `data`.
        questions: question table, instead of a store.
        split: the split that the predictions answer.
        reader: how texts become changes: "strict" (the templates only) or "lenient" (free text).
    """

    data: Path | None = None
    baseline_data: Path | None = None
    questions: Path | None = None
    split: str = "test"
    reader: str = "strict"

    def __post_init__(self) -> None:
        if self.data is not None and self.questions is not None:
            raise ValueError("--data and --questions both give references: use one of them")
        if self.baseline_data is not None and self.data is None:
            raise ValueError(
                f"--baseline-data {self.baseline_data} needs --data, the store of the evaluated "
                "patients: the two stores must not share a patient"
            )

    @property
    def question_task(self) -> str:
        """The task of the questions that a file without references answers."""
        return self.task or DEFAULT_TASK


class ReferenceSource:
    """The references and baselines that the options name.

    Attributes:
        store: the store of the evaluated patients, or None.
    """

    def __init__(self, options: ReferenceOptions, *, seed: int = 0) -> None:
        self.options = options
        self.seed = seed
        self.store = None if options.data is None else open_store(options.data)

    @cached_property
    def questions(self) -> Questions:
        """The questions that a file should answer; none if only the file has references."""
        options = self.options
        if options.questions is not None:
            return split_of_table(options.questions, options.split, options.question_task)
        if self.store is None:
            return Questions()
        return split_of_store(self.store, options.split, options.question_task)

    def read_predictions(self, path: Path, *, is_checked: bool = True) -> list[Prediction]:
        """The plain predictions of a file in any format, joined with the questions.

        Args:
            is_checked: whether references in the file must be those of the questions.

        Raises:
            ValueError: as `read_any`; answers under a probe; other references.
        """
        predictions = self._read(path, is_checked=is_checked)
        if num_probed := sum(bool(split_id(item.id)[1]) for item in predictions):
            raise ValueError(
                f"{path} has {num_probed} answers under a probe: write them to a file of their "
                "own and give it to lapse evaluate --probe"
            )
        return predictions

    def read_probes(self, path: Path) -> list[Prediction]:
        """The predictions of a file under one or several probes, in any format."""
        return self._read(path)

    def _read(self, path: Path, *, is_checked: bool = False) -> list[Prediction]:
        predictions = read_any(path, lambda: self.questions, self.options, is_checked=is_checked)
        return with_reader(predictions, self.options.reader)

    def baselines(self, predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
        """The image-blind baselines for the samples of these predictions.

        Raises:
            ValueError: the store has no training data for them, or its training patients are
                among the evaluated ones.
        """
        if self.store is not None:
            store = self._training_store(self.store, predictions)
            return blind_baselines(store, predictions, seed=self.seed)
        table, task = self.options.questions, self.options.question_task
        if table is None:
            reason = "they need training answers (--data STORE or --questions CSV)"
        elif answers := training_answers(table, task):
            of_task = [item for item in predictions if item.task == task]
            return blind_text_baselines(answers, of_task, seed=self.seed)
        else:
            reason = f"{table.name} has no training rows of {task}"
        logger.info("no image-blind baselines: %s", reason)
        return {}

    def _training_store(self, evaluated: Store, predictions: Sequence[Prediction]) -> Store:
        """The store whose train split the baselines use."""
        baseline_data = self.options.baseline_data
        store = evaluated if baseline_data is None else open_store(baseline_data)
        tasks = dict.fromkeys(item.task for item in predictions)
        if untrained := ", ".join(task for task in tasks if not has_training(store, task)):
            advice = "give a store that has one"
            if baseline_data is None:
                advice = "remove --data to score without image-blind baselines"
            raise ValueError(
                f"{store.path} has no train split for {untrained}, which image-blind baselines "
                f"need: give a store of other patients with --baseline-data STORE, or {advice}"
            )
        if baseline_data is None:
            return store
        for name in ("size", "resize"):
            value, expected = (getattr(item.info, name) for item in (store, evaluated))
            if value != expected:
                raise ValueError(
                    f"{store.path} has {name} {value} and {evaluated.path} {expected}: prepare "
                    "both stores alike, because boxes are in pixels of the store"
                )
        patients = {item.patient for item in predictions}
        if "" in patients:
            raise ValueError(
                "some predictions do not name their patient, so --baseline-data cannot be checked "
                "for shared patients: write the file with lapse predict, or add the key patient"
            )
        check_no_shared_patients(store, evaluated, patients)
        logger.info("image-blind baselines from %s: no shared patient, study or image", store.path)
        return store

    def provenance(
        self,
        predictions: Sequence[Prediction],
        path: Path,
        *,
        changes: Path | None,
        further: Mapping[str, str],
    ) -> dict[str, str]:
        """Release, split protocol and hashes of the data; how many questions are answered.

        Args:
            predictions: that the scores are computed from.
            path: their file.
            changes: file of another extractor's changes, if any.
            further: facts such as command, version and commit.
        """
        facts = {
            "n": str(len(predictions)),
            "seed": str(self.seed),
            **further,
            **remark_of(predictions),
            "reader": self.options.reader,
            REFERENCES: references_hash(predictions),
        }
        items = self.questions.items
        num_answered = sum(item.task == items[0].task for item in predictions) if items else 0
        if num_answered < len(items):
            facts[ANSWERED] = f"{num_answered} of the {len(items)} questions of the split"
        facts |= {} if self.store is None else self.store.info.provenance()
        if self.options.baseline_data is not None:
            info = open_store(self.options.baseline_data).info
            facts["baselines from"] = f"{info.source}, data fingerprint {info.fingerprint[:16]}"
        if (table := self.options.questions) is not None:
            part = f"part {self.options.split!r} (rows, not patients)"
            facts["data release"] = f"{table.name}, SHA-256 {sha256_of(table)[:16]}"
            facts["split protocol"] = f"the table's own split, {part}"
        if changes is not None:
            facts |= changes_facts(changes)
        return facts | predictions_facts(path)


def references_hash(predictions: Sequence[Prediction]) -> str:
    """A hash of the answers with their references, in any order: what the scores compare."""
    rows = ([item.prediction.strip(), *map(str.strip, item.references)] for item in predictions)
    hashes = sorted(hashlib.sha256(json.dumps(row).encode()).digest() for row in rows)
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def check_same_references(scores: Mapping[str, Any], predictions: Sequence[Prediction]) -> None:
    """Refuse a page whose true answers, or whose samples, are not those of its scores.

    Raises:
        ValueError: another question table, split, task or part of the questions. Scores that do
            not state their references, such as those of another program, are accepted.
    """
    stated = scores.get("provenance", {}).get(REFERENCES)
    if stated is not None and stated != references_hash(predictions):
        raise ValueError(
            "the scores were computed from other true answers or other samples than those of the "
            "page: give the same --data or --questions, --split and --task, or evaluate again"
        )


def remark_of(predictions: Sequence[Prediction]) -> dict[str, str]:
    """The remark of a public release about its answers, known by the prefix of its patients.

    A file may be scored without the store, which also holds the remark. {} for other patients, and
    for other tasks than the difference question.
    """
    patients = [item.patient for item in predictions if item.task == DEFAULT_TASK]
    prefixes = {patient.partition(":")[0] for patient in patients if ":" in patient}
    remarks = [load("releases", name).remark for name in names("releases") if name in prefixes]
    return {REMARK: "; ".join(remarks)} if any(remarks) else {}
