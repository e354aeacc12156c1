"""Defects of Medical-Diff-VQA: questions, overview of studies, and list of findings."""

from __future__ import annotations

import json
from collections.abc import Callable

from lapse.core.changes import invert, render
from lapse.core.grammar import parse
from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.images import LATERAL
from lapse.phantom.defects.tree import DefectTree, Table

GLITCH_ANSWER = (
    "the main image has additional findings of edema, and pneumonia atelectasis than the "
    "reference image. "
)
LIST_QUESTION = "what abnormalities are seen in this image?"
UNKNOWN_FINDING = "sarcoidosis"
MAX_REVERSED = 0.15  # verify takes more than a fifth of reversed questions for release 1.0.0
Row = list[str]


def _name(table: Table, index: int) -> str:
    """The name of a question in a validation report: main study / reference study / row number."""
    row = table.rows[index]
    return f"{table.cell(row, 'study_id')}/{table.cell(row, 'ref_id')}/{index + 1}"


def _names(tree: DefectTree, indices: list[int]) -> list[str]:
    return [_name(tree.tables["questions"], index) for index in indices]


def _on_rows(edit: Callable[[DefectTree, Table, int], None], category: str = "") -> Injector:
    """An injector that edits single questions, of one category or of all."""

    def inject(tree: DefectTree) -> list[str]:
        table = tree.tables["questions"]
        chosen = tree.pick(_rows_of(table, category), lambda index: [f"question {index}"])
        for index in chosen:
            edit(tree, table, index)
        return _names(tree, chosen)

    return inject


def _rows_of(table: Table, category: str) -> list[int]:
    """The indices of the questions of one category, or of all."""
    rows = enumerate(table.rows)
    return [index for index, row in rows if category in ("", table.cell(row, "question_type"))]


def _unknown_category(_tree: DefectTree, table: Table, index: int) -> None:
    table.set(table.rows[index], "question_type", "severity")


def _category_case(tree: DefectTree, table: Table, index: int) -> None:
    category = table.cell(table.rows[index], "question_type")
    is_upper = tree.random_int(index) % 2
    table.set(table.rows[index], "question_type", category.upper() if is_upper else f"{category} ")


def _empty(tree: DefectTree, table: Table, index: int) -> None:
    column = ("question", "answer")[tree.random_int(index) % 2]
    table.set(table.rows[index], column, "" if tree.random_int(index, "blank") % 2 else "  ")


def _unknown_study(tree: DefectTree, table: Table, index: int) -> None:
    column = ("study_id", "ref_id")[tree.random_int(index) % 2]
    table.set(
        table.rows[index], column, str(40_000_000 + tree.random_int(index, "study") % 1_000_000)
    )


def _two_patients(tree: DefectTree, table: Table, index: int) -> None:
    row, metadata = table.rows[index], tree.tables["metadata"]
    patient = table.cell(row, "subject_id")
    others = [other for other in metadata.rows if metadata.cell(other, "subject_id") != patient]
    table.set(row, "ref_id", metadata.cell(others[index % len(others)], "study_id"))


def _unparsed(_tree: DefectTree, table: Table, index: int) -> None:
    row = table.rows[index]
    table.set(row, "answer", table.cell(row, "answer") + "the weather is fine. ")


def _glitch(_tree: DefectTree, table: Table, index: int) -> None:
    table.set(table.rows[index], "answer", GLITCH_ANSWER)


def _time_claims(table: Table, row: Row) -> list[str]:
    return [f"time {table.cell(row, column)}" for column in ("study_id", "ref_id")]


def _swap(table: Table, row: Row) -> None:
    """Swap main and reference, and invert the answer."""
    main, reference = table.cell(row, "study_id"), table.cell(row, "ref_id")
    table.set(row, "study_id", reference)
    table.set(row, "ref_id", main)
    table.set(row, "answer", render(invert(parse(table.cell(row, "answer")).changes)))


def reversed_time(tree: DefectTree) -> list[str]:
    """A few questions whose main study is the earlier one."""
    table = tree.tables["questions"]
    indices = _rows_of(table, "difference")

    def keys(index: int) -> list[str]:
        return [f"question {index}", *_time_claims(table, table.rows[index])]

    chosen = tree.pick(indices, keys, most=int(MAX_REVERSED * len(indices)))
    for index in chosen:
        _swap(table, table.rows[index])
    return _names(tree, chosen)


def old_release(tree: DefectTree) -> list[str]:
    """About half of the difference questions reversed, as in release 1.0.0."""
    table = tree.tables["questions"]
    chosen = _rows_of(table, "difference")[::2]
    for index in chosen:
        _swap(table, table.rows[index])
    return _names(tree, chosen)


def same_time(tree: DefectTree) -> list[str]:
    """Two consecutive visits get the same time."""
    metadata, table = tree.tables["metadata"], tree.tables["questions"]
    questions: dict[frozenset[str], list[int]] = {}
    for index in _rows_of(table, "difference"):
        row = table.rows[index]
        pair = frozenset((table.cell(row, "study_id"), table.cell(row, "ref_id")))
        questions.setdefault(pair, []).append(index)

    def studies(pair: tuple[Row, Row]) -> frozenset[str]:
        return frozenset(metadata.cell(row, "study_id") for row in pair)

    visits = zip(metadata.rows, metadata.rows[1:], strict=False)
    chosen = tree.pick(
        [pair for pair in visits if studies(pair) in questions],
        lambda pair: [f"time {metadata.cell(row, 'study_id')}" for row in pair],
    )
    for first, second in chosen:
        for column in ("StudyDate", "StudyTime"):
            metadata.set(second, column, metadata.cell(first, column))
    return _names(tree, sorted(index for pair in chosen for index in questions[studies(pair)]))


def duplicate_question(tree: DefectTree) -> list[str]:
    table = tree.tables["questions"]

    def keys(index: int) -> list[str]:
        return [f"question {index}", *_time_claims(table, table.rows[index])]

    chosen = tree.pick(range(len(table.rows)), keys)
    start = len(table.rows)
    table.rows += [list(table.rows[index]) for index in chosen]
    return _names(tree, list(range(start, start + len(chosen))))


def unknown_finding(tree: DefectTree) -> list[str]:
    """A finding outside the 30, in answers or in the list of findings by study."""
    table = tree.tables["questions"]
    indices = [
        index
        for index in _rows_of(table, "abnormality")
        if table.cell(table.rows[index], "question") == LIST_QUESTION
    ]
    if indices and tree.random_int("answers") % 2:
        chosen = tree.pick(indices, lambda index: [f"question {index}"])
        for index in chosen:
            row = table.rows[index]
            table.set(row, "answer", f"{table.cell(row, 'answer')}, {UNKNOWN_FINDING}")
        return [f"{name} {UNKNOWN_FINDING}" for name in _names(tree, chosen)]
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
    table = tree.tables["questions"]
    rows: dict[str, list[Row]] = {}
    for row in table.rows:
        if split in ("", table.cell(row, "split")):
            rows.setdefault(table.cell(row, "subject_id"), []).append(row)
    candidates = [patient for patient, group in rows.items() if len(group) >= min_questions]
    chosen = tree.pick(candidates, lambda patient: [f"parts {patient}"])
    return {patient: rows[patient] for patient in chosen}


def questions_two_splits(tree: DefectTree) -> list[str]:
    """Patients with questions in two splits."""
    table = tree.tables["questions"]
    chosen = _pick_patients(tree, 2, "")
    for rows in chosen.values():
        is_train = table.cell(rows[-1], "split") == "train"
        table.set(rows[-1], "split", "test" if is_train else "train")
    return [f"p{patient}" for patient in chosen]


def cross_stage_overlap(tree: DefectTree) -> list[str]:
    """Training patients of the other data sets in the test split of this one."""
    table = tree.tables["questions"]
    chosen = _pick_patients(tree, 1, "train")
    for rows in chosen.values():
        for row in rows:
            table.set(row, "split", "test")
    return [f"p{patient}" for patient in chosen]


def overview_unknown_image(tree: DefectTree) -> list[str]:
    """The image of another study, or an unknown image."""
    table = tree.tables["mimic_all"]
    dicoms = [table.cell(row, "dicom_id") for row in table.rows]
    indices = tree.pick(range(len(table.rows)), lambda index: [f"row {table.line(index)}"])
    rows = [table.rows[index] for index in indices]
    for row in rows:
        image = table.cell(row, "dicom_id")
        other = next(dicom for dicom in dicoms if dicom != image)
        table.set(row, "dicom_id", other if tree.random_int(image) % 2 else tree.new_dicom(image))
    return [f"s{table.cell(row, 'study_id')}" for row in rows]


def overview_other_image(tree: DefectTree) -> list[str]:
    """The overview has the lateral image of a study."""
    table, metadata = tree.tables["mimic_all"], tree.tables["metadata"]
    row_of = {metadata.cell(row, "dicom_id"): row for row in reversed(metadata.rows)}

    def keys(index: int) -> list[str]:
        dicom = table.cell(table.rows[index], "dicom_id")
        return [f"row {table.line(index)}", f"second {dicom}", f"row {dicom}"]

    candidates = enumerate(table.cell(row, "dicom_id") for row in table.rows)
    indices = tree.pick([index for index, dicom in candidates if dicom in row_of], keys)
    rows = [table.rows[index] for index in indices]
    for row in rows:
        source = row_of[table.cell(row, "dicom_id")]
        dicom = tree.add_lateral(source, metadata.cell(source, "subject_id"), LATERAL)
        table.set(row, "dicom_id", dicom)
    return [f"s{table.cell(row, 'study_id')}" for row in rows]


QUESTIONS: dict[str, Injector] = {
    "reversed-time": reversed_time,
    "unparsed-answer": _on_rows(_unparsed, "difference"),
    "glitch-answer": _on_rows(_glitch, "difference"),
    "unknown-category": _on_rows(_unknown_category),
    "category-case": _on_rows(_category_case),
    "empty-question": _on_rows(_empty),
    "question-unknown-study": _on_rows(_unknown_study),
    "question-two-patients": _on_rows(_two_patients),
    "unknown-finding": unknown_finding,
    "duplicate-question": duplicate_question,
    "same-time": same_time,
    "questions-two-splits": questions_two_splits,
    "cross-stage-overlap": cross_stage_overlap,
}
OVERVIEW: dict[str, Injector] = {
    "overview-unknown-image": overview_unknown_image,
    "overview-other-image": overview_other_image,
    "damaged-json": damaged_json,
}
RELEASE: dict[str, Injector] = {"release-1.0.0": old_release}
