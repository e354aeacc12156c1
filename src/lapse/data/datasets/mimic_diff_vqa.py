"""Medical-Diff-VQA 1.0.0 and 1.0.1 -> one Pair per question.

    mimic_pair_questions.csv    study_id, subject_id, ref_id, question_type, question, answer,
                                split (train / val / test: contiguous rows, not patients)
    mimic_all.csv               the image of each study; without it the study's own frontal image

Nearly half of the difference questions of release 1.0.0 have reversed time order, none of 1.0.1:
the dates identify the release. Source: Hu et al. 2023, arXiv:2307.11986.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lapse.core.types import Pair, Study, days_between
from lapse.data.io.csv_tables import find_table, parse_split, plain_id, read_rows
from lapse.data.io.skip_log import SkipLog

CATEGORIES = ("abnormality", "presence", "view", "location", "level", "type", "difference")
COLUMNS = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
REVERSED_FRACTION = 0.2  # 1.0.0 has .485 of its difference questions reversed, 1.0.1 none


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One row of the question table. `number` counts the data rows from 1."""

    number: int
    study: str
    patient: str
    reference: str
    category: str
    question: str
    answer: str
    split: str

    @property
    def id(self) -> str:
        """Unique and stable: main study, reference study, row number."""
        return f"{self.study}/{self.reference}/{self.number}"


def plain_category(name: str) -> str:
    """A question_type in lower case without blanks around it.

    >>> plain_category("Difference ")
    'difference'
    """
    return name.strip().lower()


class MimicDiffVqa:
    """Questions about one image or about what changed between two.

    Args:
        root: the folder that holds `mimic_pair_questions.csv`.

    Attributes:
        skipped: rows that became no pair, by reason.
        noted: anomalies of the rows that were read. Both grow with every call.

    Raises:
        ValueError: the table is missing, damaged, or lacks a column.
    """

    name = "mimic_diff_vqa"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped = SkipLog()
        self.noted = SkipLog()
        self.num_rows = 0  # rows that were joined or skipped by `pairs`
        self._num_forward = 0
        self._num_reversed = 0
        table = find_table(root, "mimic_pair_questions")
        if table is None:
            raise ValueError(
                f"{root} has no mimic_pair_questions.csv: give the folder of Medical-Diff-VQA"
            )
        self._table = table

    def read(self) -> Iterator[QuestionRow]:
        """The rows in the order of the table.

        Raises:
            ValueError: unknown split.
        """
        rows = read_rows(self._table, COLUMNS, self.skipped)
        for number, fields in enumerate(rows, start=1):
            study, patient, reference, name, question, answer, split_name = fields
            split = parse_split(split_name, self._table)
            category = plain_category(name)
            if category not in CATEGORIES:
                self.skipped.add("question of an unknown category", f"row {number} {name!r}")
                continue
            if category != name:
                self.noted.add("question_type in other letters", f"row {number} {name!r}")
            yield QuestionRow(
                number=number,
                study=plain_id(study),
                patient=plain_id(patient),
                reference=plain_id(reference),
                category=category,
                question=question,
                answer=answer,
                split=split,
            )

    def pairs(self, studies: Mapping[str, Study]) -> Iterator[Pair]:
        """Join the questions with studies.

        Args:
            studies: study number -> its frontal image.
        """
        for row in self.read():
            self.num_rows += 1
            main, reference = studies.get(row.study), studies.get(row.reference)
            if main is None or reference is None:
                role = "main" if main is None else "reference"
                self.skipped.add(f"question whose {role} study has no usable image", row.id)
            elif main.patient != row.patient or reference.patient != row.patient:
                self.skipped.add("question that joins studies of different patients", row.id)
            elif not row.question.strip() or not row.answer.strip():
                self.skipped.add("question or answer is empty", row.id)
            else:
                self._note_order(row, main, reference)
                self._note_image(row, main)
                yield Pair(
                    id=row.id,
                    reference=reference,
                    main=main,
                    question=row.question,
                    answer=row.answer,
                    category=row.category,
                    split=row.split,
                )

    def count_joined(self, studies: Mapping[str, Study]) -> dict[str, tuple[int, int]]:
        """Category, or "" for all -> (rows that join two of the studies, rows of the table)."""
        joined: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for row in self.read():
            total[row.category] += 1
            pair = (studies.get(row.study), studies.get(row.reference))
            joined[row.category] += all(
                study is not None and study.patient == row.patient for study in pair
            )
        counts = {category: (joined[category], total[category]) for category in total}
        return {"": (joined.total(), total.total() + self.skipped.total), **counts}

    @property
    def release(self) -> str:
        """The release of the joined difference questions, judged by their dates."""
        total = self._num_forward + self._num_reversed
        if not total:
            return "unknown (no difference question was joined)"
        if self._num_reversed / total >= REVERSED_FRACTION:
            return "1.0.0"
        if not self._num_reversed:
            return "1.0.1"
        return f"unknown ({self._num_reversed} of {total} pairs are in reversed time order)"

    def patient_splits(self) -> Iterator[tuple[str, str]]:
        """(patient, split) of every row of the question table."""
        for patient, split in read_rows(self._table, ("subject_id", "split"), SkipLog()):
            yield plain_id(patient), parse_split(split, self._table)

    @cached_property
    def images(self) -> dict[str, str]:
        """Study number -> dicom_id from `mimic_all.csv`; empty without such a table."""
        table = find_table(self.root, "mimic_all")
        if table is None:
            self.noted.add("table mimic_all missing (images taken from the metadata)", "")
            return {}
        rows = read_rows(table, ("study_id", "dicom_id"))
        return {plain_id(study): dicom.strip() for study, dicom in rows}

    def _note_order(self, row: QuestionRow, main: Study, reference: Study) -> None:
        if row.category != "difference":
            return
        if (days_between(reference, main) or 0) < 0:
            self._num_reversed += 1
            self.noted.add("difference question in reversed time order", row.id)
        else:
            self._num_forward += 1

    def _note_image(self, row: QuestionRow, main: Study) -> None:
        named = self.images.get(row.study)
        if named is not None and named != main.image:
            self.noted.add("mimic_all names another image of the study", f"{row.id} {named}")
