"""The tables of a simulated tree: the file and the columns of each."""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.annotation_names import CHEXPERT_LABELS
from lapse.phantom.dataset import gold, ms_cxr_t
from lapse.phantom.dataset.truth import FOLDER, PAIR_COLUMNS

# split of MIMIC-CXR -> its table of Chest ImaGenome
SPLIT_TABLES = {"train": "train", "validate": "valid", "test": "test"}
_IMAGENOME = ("", "subject_id", "study_id", "dicom_id", "path", "ViewPosition")
_LABELS = ("subject_id", "study_id", *CHEXPERT_LABELS)
_MIMIC = "mimic-cxr-jpg/mimic-cxr-2.0.0"
_SPLITS = "chest-imagenome/silver_dataset/splits"
_GOLD = "chest-imagenome/gold_dataset"


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table: its path below the folder of the tree, and its columns."""

    path: str
    columns: tuple[str, ...]

    @property
    def delimiter(self) -> str:
        """Between two cells of a row."""
        return "\t" if self.path.endswith(".txt") else ","


TABLES = {
    "metadata": TableFile(
        f"{_MIMIC}-metadata.csv.gz",
        (
            "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription",
            "ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime",
            "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
            "PatientOrientationCodeSequence_CodeMeaning",
        ),
    ),
    "split": TableFile(
        f"{_MIMIC}-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split")
    ),
    "chexpert": TableFile(f"{_MIMIC}-chexpert.csv.gz", _LABELS),
    "negbio": TableFile(f"{_MIMIC}-negbio.csv.gz", _LABELS),
    "train": TableFile(f"{_SPLITS}/train.csv", _IMAGENOME),
    "valid": TableFile(f"{_SPLITS}/valid.csv", _IMAGENOME),
    "test": TableFile(f"{_SPLITS}/test.csv", _IMAGENOME),
    "images_to_avoid": TableFile(f"{_SPLITS}/images_to_avoid.csv", _IMAGENOME),
    "gold": TableFile(f"{_GOLD}/{gold.BOXES}", gold.BOX_COLUMNS),
    "questions": TableFile(
        "medical-diff-vqa/mimic_pair_questions.csv",
        ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"),
    ),
    "mimic_all": TableFile(
        "medical-diff-vqa/mimic_all.csv",
        (*_LABELS, "dicom_id", "view", "split", "study_date", "study_order"),
    ),
    "progressions": TableFile(f"{ms_cxr_t.FOLDER}/{ms_cxr_t.TABLE}", ms_cxr_t.COLUMNS),
    "gold_phrases": TableFile(f"{_GOLD}/{gold.PHRASES}", gold.PHRASE_COLUMNS),
    "pairs": TableFile(f"{FOLDER}/pairs.csv", PAIR_COLUMNS),
}  # fmt: skip
