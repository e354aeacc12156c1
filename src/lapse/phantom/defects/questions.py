"""Defects of Medical-Diff-VQA: questions, overview of studies, and list of findings."""

from __future__ import annotations

import json
from itertools import pairwise

from lapse.core.changes import invert, render
from lapse.core.grammar import parse
from lapse.phantom.defects.images import LATERAL
from lapse.phantom.defects.records import Records
from lapse.phantom.defects.tree import DefectTree, Row, Table

GLITCH_ANSWER = (
    "the main image has additional findings of edema, and pneumonia atelectasis than the "
    "reference image. "
)
LIST_QUESTION = "what abnormalities are seen in this image?"
UNKNOWN_FINDING = "sarcoidosis"
MAX_REVERSED = 0.15  # verify takes more than a fifth of reversed questions for release 1.0.0


def _name(table: Table, index: int) -> str:
    """The name of a question in a validation report: main study / reference study / row number."""
    row = table.rows[index]
    return f"{row['study_id']}/{row['ref_id']}/{index + 1}"


def _is_difference(_tree: DefectTree, row: Row) -> bool:
    return row["question_type"] == "difference"


def _claims(_table: Table, index: int) -> list[str]:
    return [f"question {index}"]


def _claims_with_time(table: Table, index: int) -> list[str]:
    """A question, and the order in time of its studies."""
    row = table.rows[index]
    return [f"question {index}", f"time {row['study_id']}", f"time {row['ref_id']}"]


_ALL = Records("questions", _claims, _name)
_DIFFERENCES = Records("questions", _claims, _name, _is_difference)
duplicate_question = Records("questions", _claims_with_time, _name).repeated


@_ALL.edited
def unknown_category(_tree: DefectTree, row: Row, _index: int) -> None:
    row["question_type"] = "severity"


@_ALL.edited
def category_case(tree: DefectTree, row: Row, index: int) -> None:
    category = row["question_type"]
    row["question_type"] = category.upper() if tree.random_int(index) % 2 else f"{category} "


@_ALL.edited
def empty_question(tree: DefectTree, row: Row, index: int) -> None:
    column = ("question", "answer")[tree.random_int(index) % 2]
    row[column] = "" if tree.random_int(index, "blank") % 2 else "  "


@_ALL.edited
def question_unknown_study(tree: DefectTree, row: Row, index: int) -> None:
    column = ("study_id", "ref_id")[tree.random_int(index) % 2]
    row[column] = str(40_000_000 + tree.random_int(index, "study") % 1_000_000)


@_ALL.edited
def question_two_patients(tree: DefectTree, row: Row, index: int) -> None:
    row["ref_id"] = tree.row_of_another_patient(row, index)["study_id"]


@_DIFFERENCES.edited
def unparsed_answer(_tree: DefectTree, row: Row, _index: int) -> None:
    row["answer"] += "the weather is fine. "


@_DIFFERENCES.edited
def glitch_answer(_tree: DefectTree, row: Row, _index: int) -> None:
    row["answer"] = GLITCH_ANSWER


def _reverse(tree: DefectTree, indices: list[int]) -> list[str]:
    """Swap main and reference of these questions, and invert the answers."""
    table = tree.tables["questions"]
    for index in indices:
        row = table.rows[index]
        row["study_id"], row["ref_id"] = row["ref_id"], row["study_id"]
        row["answer"] = render(invert(parse(row["answer"]).changes))
    return [_name(table, index) for index in indices]


def _difference_indices(tree: DefectTree) -> list[int]:
    rows = enumerate(tree.tables["questions"].rows)
    return [index for index, row in rows if _is_difference(tree, row)]


def reversed_time(tree: DefectTree) -> list[str]:
    """A few questions whose main study is the earlier one."""
    most = int(MAX_REVERSED * len(_difference_indices(tree)))
    records = Records("questions", _claims_with_time, _name, _is_difference)
    return _reverse(tree, records.pick(tree, most))


def release_1_0_0(tree: DefectTree) -> list[str]:
    """About half of the difference questions reversed, as in release 1.0.0."""
    return _reverse(tree, _difference_indices(tree)[::2])


def same_time(tree: DefectTree) -> list[str]:
    """Two consecutive visits get the same time."""
    rows, table = tree.tables["metadata"].rows, tree.tables["questions"]
    questions: dict[frozenset[str], list[int]] = {}
    for index in _difference_indices(tree):
        row = table.rows[index]
        questions.setdefault(frozenset((row["study_id"], row["ref_id"])), []).append(index)

    def studies(pair: tuple[Row, Row]) -> frozenset[str]:
        return frozenset(row["study_id"] for row in pair)

    chosen = tree.pick(
        [pair for pair in pairwise(rows) if studies(pair) in questions],
        lambda pair: [f"time {row['study_id']}" for row in pair],
    )
    for first, second in chosen:
        second |= {column: first[column] for column in ("StudyDate", "StudyTime")}
    indices = sorted(index for pair in chosen for index in questions[studies(pair)])
    return [_name(table, index) for index in indices]


def unknown_finding(tree: DefectTree) -> list[str]:
    """A finding outside the 30, in answers or in the list of findings by study."""
    table = tree.tables["questions"]
    indices = [
        index
        for index, row in enumerate(table.rows)
        if (row["question_type"], row["question"]) == ("abnormality", LIST_QUESTION)
    ]
    if indices and tree.random_int("answers") % 2:
        chosen = tree.pick(indices, lambda index: _claims(table, index))
        for index in chosen:
            table.rows[index]["answer"] += f", {UNKNOWN_FINDING}"
        return [f"{_name(table, index)} {UNKNOWN_FINDING}" for index in chosen]
    path = tree.out / "medical-diff-vqa" / "all_diseases.json"
    items = json.loads(path.read_text(encoding="utf-8"))
    chosen_items = tree.pick(items, lambda item: [f"diseases {item['study_id']}"])
    for item in chosen_items:
        item["no_entity"].append(UNKNOWN_FINDING)
    path.write_text(json.dumps(items), encoding="utf-8", newline="\n")
    return [f"s{item['study_id']} {UNKNOWN_FINDING}" for item in chosen_items]


def damaged_json(tree: DefectTree) -> list[str]:
    """A truncated list of findings."""
    path = tree.out / "medical-diff-vqa" / "all_diseases.json"
    text = path.read_text(encoding="utf-8").rstrip().removesuffix("]").rstrip()
    path.write_text(text, encoding="utf-8", newline="\n")
    return [path.name]


def _pick_patients(tree: DefectTree, min_questions: int, split: str) -> dict[str, list[Row]]:
    """Choose patients by their questions in one split, or in all; patient -> rows."""
    rows: dict[str, list[Row]] = {}
    for row in tree.tables["questions"].rows:
        if split in ("", row["split"]):
            rows.setdefault(row["subject_id"], []).append(row)
    candidates = [patient for patient, group in rows.items() if len(group) >= min_questions]
    chosen = tree.pick(candidates, lambda patient: [f"parts {patient}"])
    return {patient: rows[patient] for patient in chosen}


def questions_two_splits(tree: DefectTree) -> list[str]:
    """Patients with questions in two splits."""
    chosen = _pick_patients(tree, 2, "")
    for rows in chosen.values():
        rows[-1]["split"] = "test" if rows[-1]["split"] == "train" else "train"
    return [f"p{patient}" for patient in chosen]


def cross_stage_overlap(tree: DefectTree) -> list[str]:
    """Training patients of the other data sets in the test split of this one."""
    chosen = _pick_patients(tree, 1, "train")
    for rows in chosen.values():
        for row in rows:
            row["split"] = "test"
    return [f"p{patient}" for patient in chosen]


def overview_unknown_image(tree: DefectTree) -> list[str]:
    """The image of another study, or an unknown image."""
    table = tree.tables["mimic_all"]
    dicoms = [row["dicom_id"] for row in table.rows]
    indices = tree.pick(range(len(table.rows)), lambda index: [f"row {table.line(index)}"])
    rows = [table.rows[index] for index in indices]
    for row in rows:
        image = row["dicom_id"]
        other = next(dicom for dicom in dicoms if dicom != image)
        row["dicom_id"] = other if tree.random_int(image) % 2 else tree.new_dicom(image)
    return [f"s{row['study_id']}" for row in rows]


def overview_other_image(tree: DefectTree) -> list[str]:
    """The overview has the lateral image of a study."""
    row_of = {row["dicom_id"]: row for row in reversed(tree.tables["metadata"].rows)}

    def claims(table: Table, index: int) -> list[str]:
        dicom = table.rows[index]["dicom_id"]
        return [f"row {table.line(index)}", f"second {dicom}", f"row {dicom}"]

    records = Records("mimic_all", claims, Table.line, lambda _, row: row["dicom_id"] in row_of)
    rows = records.pick_rows(tree)
    for row in rows:
        source = row_of[row["dicom_id"]]
        row["dicom_id"] = tree.add_lateral(source, source["subject_id"], LATERAL)
    return [f"s{row['study_id']}" for row in rows]
