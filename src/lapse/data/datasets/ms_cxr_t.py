"""MS-CXR-T 1.0.0 -> pairs of images with the progression of five findings: an evaluation set.

    MS_CXR_T_temporal_image_classification_v1.0.0.csv
        subject_id, study_id, previous_study_id
        dicom_id, previous_dicom_id        as "p10/p10000032/s50414267/<dicom_id>" or bare
        <finding>_progression              improving, stable, worsening, or empty

Its pairs ask the difference question; the answer is the list of progressions, which the metric
`progression` compares with the changes that a system's answer names. It is never trained
on: its patients are test patients. Source: Bannur et al. 2023, arXiv:2301.04558.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from lapse.core.changes import QUESTION_CHANGED
from lapse.core.types import Pair, Study, days_between
from lapse.data.io.csv_tables import find_table, plain_id, read_rows
from lapse.data.io.skip_log import SkipLog

TABLE = "MS_CXR_T_temporal_image_classification_v1.*"
FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
PROGRESSIONS = ("improving", "stable", "worsening")
COLUMNS = ("subject_id", "dicom_id", "previous_dicom_id")
CATEGORY = "progression"


def bare_dicom(text: str) -> str:
    """The dicom_id at the end of a path.

    >>> bare_dicom("p10/p10000032/s50414267/02aa804e-bde0afdd.dcm")
    '02aa804e-bde0afdd'
    """
    return text.strip().rpartition("/")[2].removesuffix(".dcm").removesuffix(".jpg")


class MsCxrT:
    """Progressions of five findings between two images.

    Args:
        root: the folder that holds the table.

    Attributes:
        skipped: rows that became no pair, by reason. It starts empty with every call of `pairs`.

    Raises:
        ValueError: the table is missing, damaged, or lacks a column.
    """

    name = "ms_cxr_t"

    def __init__(self, root: Path) -> None:
        table = find_table(root, TABLE)
        if table is None:
            raise ValueError(f"{root} has no {TABLE}.csv: give the folder of MS-CXR-T")
        self.root = root
        self._table = table
        self.num_rows = 0  # of the last call of `pairs`
        self.skipped = SkipLog()
        self.noted = SkipLog()

    @cached_property
    def images(self) -> frozenset[str]:
        """The dicom_ids of both images of every row."""
        return frozenset(image for row in self._rows() for image in row[2:4])

    def patient_splits(self) -> Iterator[tuple[str, str]]:
        """(patient, "test") of every row."""
        for _, patient, *_ in self._rows():
            yield patient, "test"

    def pairs(self, studies: Mapping[str, Study]) -> Iterator[Pair]:
        """Join the rows with studies.

        Args:
            studies: dicom_id -> its Study.
        """
        self.skipped = SkipLog()
        self.num_rows = 0
        seen: set[tuple[str, str]] = set()
        for number, patient, main_id, reference_id, words in self._rows():
            self.num_rows += 1
            main, reference = studies.get(main_id), studies.get(reference_id)
            row = f"row {number} {main_id}"
            if main is None or reference is None:
                role = "main" if main is None else "previous"
                self.skipped.add(f"row whose {role} image is not stored", row)
            elif {main.patient, reference.patient} != {patient}:
                self.skipped.add("row that joins images of different patients", row)
            elif (days_between(reference, main) or 0) < 0:
                self.skipped.add("row whose image is earlier than the previous one", row)
            elif (main_id, reference_id) in seen:
                self.skipped.add("row with the two images of an earlier row", row)
            elif answer := self._answer(row, words):
                seen.add((main_id, reference_id))
                yield Pair(
                    id=f"ms-cxr-t/{main_id}/{reference_id}/{number}",
                    reference=reference,
                    main=main,
                    question=QUESTION_CHANGED,
                    answer=answer,
                    category=CATEGORY,
                    split="test",
                )
            else:
                self.skipped.add("row without a progression", row)

    def _answer(self, row: str, words: tuple[str, ...]) -> str:
        """ "edema: worsening; pneumonia: stable"."""
        parts = []
        for finding, word in zip(FINDINGS, words, strict=True):
            plain = word.strip().lower()
            if plain in PROGRESSIONS:
                parts.append(f"{finding.replace('_', ' ')}: {plain}")
            elif plain not in {"", "nan"}:
                self.skipped.add("progression with an unknown word", f"{row} {word!r}")
        return "; ".join(parts)

    def _rows(self) -> Iterator[tuple[int, str, str, str, tuple[str, ...]]]:
        columns = (*COLUMNS, *(f"{finding}_progression" for finding in FINDINGS))
        for number, row in enumerate(read_rows(self._table, columns), start=1):
            patient, main, reference, *words = row
            yield number, plain_id(patient), bare_dicom(main), bare_dicom(reference), tuple(words)
