"""Defects of the questions, of the overview of studies beside them, and of the list of findings."""

from __future__ import annotations

import json
from collections.abc import Callable

from lapse.core.grammar import invert, parse, render
from lapse.phantom.defects.files import Injector
from lapse.phantom.defects.images import LATERAL
from lapse.phantom.defects.tree import QuirkTree, Table

GLITCH = (
    "the main image has additional findings of edema, and pneumonia atelectasis than the "
    "reference image. "
)
LIST_QUESTION = "what abnormalities are seen in this image?"
STRANGE = "sarcoidosis"
MOST_REVERSED = 0.15  # beyond a fifth, reversed questions are a release, not a defect
Row = list[str]


def _name(table: Table, place: int) -> str:
    """How a report names a question: main study / reference study / number of the row."""
    row = table.rows[place]
    return f"{table.cell(row, 'study_id')}/{table.cell(row, 'ref_id')}/{place + 1}"


def _names(tree: QuirkTree, places: list[int]) -> list[str]:
    return [_name(tree.tables["questions"], place) for place in places]


def _on_rows(edit: Callable[[QuirkTree, Table, int], None], category: str = "") -> Injector:
    """An injector that edits single questions, of one category or of all."""

    def inject(tree: QuirkTree) -> list[str]:
        table = tree.tables["questions"]
        chosen = tree.pick(_places(table, category), lambda place: [f"question {place}"])
        for place in chosen:
            edit(tree, table, place)
        return _names(tree, chosen)

    return inject


def _places(table: Table, category: str) -> list[int]:
    """Where the questions of one category stand, or all."""
    rows = enumerate(table.rows)
    return [place for place, row in rows if category in ("", table.cell(row, "question_type"))]


def _unknown_category(_tree: QuirkTree, table: Table, place: int) -> None:
    table.set(table.rows[place], "question_type", "severity")


def _empty(tree: QuirkTree, table: Table, place: int) -> None:
    column = ("question", "answer")[tree.count(place) % 2]
    table.set(table.rows[place], column, "" if tree.count(place, "blank") % 2 else "  ")


def _unknown_study(tree: QuirkTree, table: Table, place: int) -> None:
    column = ("study_id", "ref_id")[tree.count(place) % 2]
    table.set(table.rows[place], column, str(40_000_000 + tree.count(place, "study") % 1_000_000))


def _two_patients(tree: QuirkTree, table: Table, place: int) -> None:
    row, metadata = table.rows[place], tree.tables["metadata"]
    own = table.cell(row, "subject_id")
    others = [other for other in metadata.rows if metadata.cell(other, "subject_id") != own]
    table.set(row, "ref_id", metadata.cell(others[place % len(others)], "study_id"))


def _unparsed(_tree: QuirkTree, table: Table, place: int) -> None:
    row = table.rows[place]
    table.set(row, "answer", table.cell(row, "answer") + "the weather is fine. ")


def _glitch(_tree: QuirkTree, table: Table, place: int) -> None:
    table.set(table.rows[place], "answer", GLITCH)


def _studies_of(table: Table, row: Row) -> list[str]:
    return [f"time {table.cell(row, column)}" for column in ("study_id", "ref_id")]


def _swap(table: Table, row: Row) -> None:
    """Exchange main and reference, and turn the answer round."""
    main, reference = table.cell(row, "study_id"), table.cell(row, "ref_id")
    table.set(row, "study_id", reference)
    table.set(row, "ref_id", main)
    table.set(row, "answer", render(invert(parse(table.cell(row, "answer")).changes)))


def reversed_time(tree: QuirkTree) -> list[str]:
    """A few questions whose main study is the earlier one."""
    table = tree.tables["questions"]
    places = _places(table, "difference")

    def keys(place: int) -> list[str]:
        return [f"question {place}", *_studies_of(table, table.rows[place])]

    chosen = tree.pick(places, keys, most=int(MOST_REVERSED * len(places)))
    for place in chosen:
        _swap(table, table.rows[place])
    return _names(tree, chosen)


def old_release(tree: QuirkTree) -> list[str]:
    """About half of the difference questions reversed, as in release 1.0.0."""
    table = tree.tables["questions"]
    chosen = _places(table, "difference")[::2]
    for place in chosen:
        _swap(table, table.rows[place])
    return _names(tree, chosen)


def same_time(tree: QuirkTree) -> list[str]:
    """Two visits that follow each other get one time."""
    metadata, table = tree.tables["metadata"], tree.tables["questions"]
    asked: dict[frozenset[str], list[int]] = {}
    for place in _places(table, "difference"):
        row = table.rows[place]
        pair = frozenset((table.cell(row, "study_id"), table.cell(row, "ref_id")))
        asked.setdefault(pair, []).append(place)

    def studies(pair: tuple[Row, Row]) -> frozenset[str]:
        return frozenset(metadata.cell(row, "study_id") for row in pair)

    visits = zip(metadata.rows, metadata.rows[1:], strict=False)
    chosen = tree.pick(
        [pair for pair in visits if studies(pair) in asked],
        lambda pair: [f"time {metadata.cell(row, 'study_id')}" for row in pair],
    )
    for first, second in chosen:
        for column in ("StudyDate", "StudyTime"):
            metadata.set(second, column, metadata.cell(first, column))
    return _names(tree, sorted(place for pair in chosen for place in asked[studies(pair)]))


def duplicate_question(tree: QuirkTree) -> list[str]:
    table = tree.tables["questions"]

    def keys(place: int) -> list[str]:
        return [f"question {place}", *_studies_of(table, table.rows[place])]

    chosen = tree.pick(range(len(table.rows)), keys)
    start = len(table.rows)
    table.rows += [list(table.rows[place]) for place in chosen]
    return _names(tree, list(range(start, start + len(chosen))))


def unknown_finding(tree: QuirkTree) -> list[str]:
    """A finding outside the 30, in answers or in the list of findings by study."""
    table = tree.tables["questions"]
    places = [
        place
        for place in _places(table, "abnormality")
        if table.cell(table.rows[place], "question") == LIST_QUESTION
    ]
    if places and tree.count("answers") % 2:
        chosen = tree.pick(places, lambda place: [f"question {place}"])
        for place in chosen:
            row = table.rows[place]
            table.set(row, "answer", f"{table.cell(row, 'answer')}, {STRANGE}")
        return [f"{name} {STRANGE}" for name in _names(tree, chosen)]
    path = tree.out / "medical-diff-vqa" / "all_diseases.json"
    items = json.loads(path.read_text(encoding="utf-8"))
    named = tree.pick(items, lambda item: [f"diseases {item['study_id']}"])
    for item in named:
        item["no_entity"].append(STRANGE)
    path.write_text(json.dumps(items), encoding="utf-8", newline="\n")
    return [f"s{item['study_id']} {STRANGE}" for item in named]


def damaged_json(tree: QuirkTree) -> list[str]:
    """The list of findings ends early."""
    path = tree.out / "medical-diff-vqa" / "all_diseases.json"
    text = path.read_text(encoding="utf-8").rstrip().removesuffix("]").rstrip()
    path.write_text(text, encoding="utf-8", newline="\n")
    return [path.name]


def _pick_patients(tree: QuirkTree, least: int, only: str) -> dict[str, list[Row]]:
    """Patients with at least so many questions, of one split or of all, with their rows."""
    table = tree.tables["questions"]
    rows: dict[str, list[Row]] = {}
    for row in table.rows:
        if only in ("", table.cell(row, "split")):
            rows.setdefault(table.cell(row, "subject_id"), []).append(row)
    several = [patient for patient, own in rows.items() if len(own) >= least]
    chosen = tree.pick(several, lambda patient: [f"parts {patient}"])
    return {patient: rows[patient] for patient in chosen}


def questions_two_splits(tree: QuirkTree) -> list[str]:
    """The border of two parts runs through the questions of a patient."""
    table = tree.tables["questions"]
    chosen = _pick_patients(tree, 2, "")
    for rows in chosen.values():
        is_trained = table.cell(rows[-1], "split") == "train"
        table.set(rows[-1], "split", "test" if is_trained else "train")
    return [f"p{patient}" for patient in chosen]


def cross_stage_overlap(tree: QuirkTree) -> list[str]:
    """Trained on by the other two data sets, asked about in the test part of this one."""
    table = tree.tables["questions"]
    chosen = _pick_patients(tree, 1, "train")
    for rows in chosen.values():
        for row in rows:
            table.set(row, "split", "test")
    return [f"p{patient}" for patient in chosen]


def overview_unknown_image(tree: QuirkTree) -> list[str]:
    """The image of another study, or one that nobody knows."""
    table = tree.tables["mimic_all"]
    dicoms = [table.cell(row, "dicom_id") for row in table.rows]
    places = tree.pick(range(len(table.rows)), lambda place: [f"row {table.line(place)}"])
    rows = [table.rows[place] for place in places]
    for row in rows:
        own = table.cell(row, "dicom_id")
        other = next(dicom for dicom in dicoms if dicom != own)
        table.set(row, "dicom_id", other if tree.count(own) % 2 else tree.new_dicom(own))
    return [f"s{table.cell(row, 'study_id')}" for row in rows]


def overview_other_image(tree: QuirkTree) -> list[str]:
    """The overview shows a study by its lateral image."""
    table, metadata = tree.tables["mimic_all"], tree.tables["metadata"]
    own = {metadata.cell(row, "dicom_id"): row for row in reversed(metadata.rows)}

    def keys(place: int) -> list[str]:
        dicom = table.cell(table.rows[place], "dicom_id")
        return [f"row {table.line(place)}", f"second {dicom}", f"row {dicom}"]

    candidates = enumerate(table.cell(row, "dicom_id") for row in table.rows)
    places = tree.pick([place for place, dicom in candidates if dicom in own], keys)
    rows = [table.rows[place] for place in places]
    for row in rows:
        source = own[table.cell(row, "dicom_id")]
        dicom = tree.add_lateral(source, metadata.cell(source, "subject_id"), LATERAL)
        table.set(row, "dicom_id", dicom)
    return [f"s{table.cell(row, 'study_id')}" for row in rows]


QUESTIONS: dict[str, Injector] = {
    "reversed-time": reversed_time,
    "unparsed-answer": _on_rows(_unparsed, "difference"),
    "glitch-answer": _on_rows(_glitch, "difference"),
    "unknown-category": _on_rows(_unknown_category),
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
