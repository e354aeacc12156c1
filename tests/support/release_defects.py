"""Defects of the simulated trees of PadChest, PadChest-GR, CheXpert Plus and ReXGradient-160K.

Each injector changes the tables of a tree in place and returns the beginnings of the ids that
`lapse verify` reports. The choice is derived from (seed, defect, row).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from lapse.core.seeding import derive_seed
from lapse.phantom.dataset import chexpert_plus_tree, padchest_gr_tree, padchest_tree
from lapse.phantom.dataset.rexgradient_tree import FOLDER as METADATA

Injector = Callable[[Path, int], list[str]]
Row = dict[str, str]
FULL_COLUMNS = (
    "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "Projection", "MethodLabel",
    "Labels",
)  # fmt: skip


def chosen(count: int, seed: int, defect: str, source: str = "release") -> list[int]:
    """About a fifth of the indices, at least one."""
    order = sorted(range(count), key=lambda index: derive_seed(seed, source, defect, index))
    return sorted(order[: max(1, count // 5)])


def _first(items: list[Any], seed: int, defect: str) -> int:
    """The index of one item."""
    return min(range(len(items)), key=lambda index: derive_seed(seed, "release", defect, index))


def read_rows(path: Path) -> list[Row]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(io.StringIO(text)))


def write_rows(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(path.stem, data)
    else:
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _cell(
    name: str, column: str, value: str, *, is_listed: Callable[[Row], bool] = bool
) -> Injector:
    """Writes a value into one row of a table; the id names row and column."""

    def inject(folder: Path, seed: int) -> list[str]:
        rows = read_rows(folder / name)
        usable = [number for number, row in enumerate(rows) if is_listed(row)]
        number = usable[_first(usable, seed, column)]
        rows[number][column] = value
        write_rows(folder / name, rows)
        return [f"{name} row {number + 2}, column '{column}'"]

    return inject


def _no_column(name: str, column: str) -> Injector:
    """Renames a column."""

    def inject(folder: Path, _: int) -> list[str]:
        rows = [
            {(f"{key} 2" if key == column else key): text for key, text in row.items()}
            for row in read_rows(folder / name)
        ]
        write_rows(folder / name, rows)
        return [str(folder / name)]

    return inject


def _unknown_label(folder: Path, seed: int) -> list[str]:
    _cell(padchest_tree.TABLE, "Labels", "['pneumothoraxx']")(folder, seed)
    return ["pneumothoraxx"]


def _shared_study(folder: Path, seed: int) -> list[str]:
    """Two studies of two patients each; the release itself has one."""
    rows = read_rows(folder / padchest_tree.TABLE)
    by_patient = {row["PatientID"]: row for row in rows}
    first = _first(list(by_patient), seed, "study-two-patients")
    row, *others = [*by_patient.values()][first:] + [*by_patient.values()][:first]
    ids = [row["StudyID"], others[1]["StudyID"]]
    others[0]["StudyID"], others[2]["StudyID"] = ids
    write_rows(folder / padchest_tree.TABLE, rows)
    return ids


def _edit_json(path: Path, change: Callable[[Any], list[str]]) -> list[str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    ids = change(content)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return ids


def _grounded(change: Callable[[list[dict[str, Any]], int], list[str]]) -> Injector:
    def inject(folder: Path, seed: int) -> list[str]:
        path = folder / padchest_gr_tree.REPORTS
        return _edit_json(path, lambda studies: change(studies, seed))

    return inject


def _number_id(studies: list[dict[str, Any]], seed: int) -> list[str]:
    index = _first(studies, seed, "changed-id")
    studies[index]["StudyID"] = 2.5e38
    return [f"{padchest_gr_tree.REPORTS} study {index + 1}: StudyID"]


def _boxed(studies: list[dict[str, Any]], seed: int, defect: str) -> tuple[str, dict[str, Any]]:
    """A study and one of its sentences with boxes."""
    items = [
        (study["StudyID"], sentence)
        for study in studies
        for sentence in study["findings"]
        if sentence.get("boxes")
    ]
    return items[_first(items, seed, defect)]


def _no_box(studies: list[dict[str, Any]], seed: int) -> list[str]:
    study, sentence = _boxed(studies, seed, "finding-without-box")
    sentence["boxes"], sentence["extra_boxes"] = [], []
    return [f"{study} {sentence['labels'][0]}"]


def _wide_box(studies: list[dict[str, Any]], seed: int) -> list[str]:
    study, sentence = _boxed(studies, seed, "fraction-box")
    sentence["boxes"][0] = [0.2, 0.2, 1.3, 0.5]
    return [f"{study} [0.2, 0.2, 1.3, 0.5]"]


def _with_prior(studies: list[dict[str, Any]], seed: int, defect: str) -> dict[str, Any]:
    usable = [study for study in studies if study["PreviousImageID"]]
    return usable[_first(usable, seed, defect)]


def _no_prior_file(studies: list[dict[str, Any]], seed: int) -> list[str]:
    study = _with_prior(studies, seed, "prior-missing")
    study["PreviousImageID"] = "absent.png"
    return [study["StudyID"]]


def _other_prior(studies: list[dict[str, Any]], seed: int) -> list[str]:
    study = _with_prior(studies, seed, "prior-two-patients")
    other = next(item for item in studies if item is not study)
    study["PreviousStudyID"], study["PreviousImageID"] = other["StudyID"], other["ImageID"]
    return [study["StudyID"]]


def _later_prior(folder: Path, seed: int) -> list[str]:
    """The table of PadChest dates a prior after its study."""
    studies = json.loads((folder / padchest_gr_tree.REPORTS).read_text(encoding="utf-8"))
    study = _with_prior(studies, seed, "prior-later")
    master = read_rows(folder / f"{padchest_gr_tree.MASTER}.zip")
    facts = next(row for row in master if row["StudyID"] == study["StudyID"])
    cells = (
        study["PreviousImageID"], "0", "21991231", study["PreviousStudyID"], facts["PatientID"],
        "PA", "Physician", "['normal']",
    )  # fmt: skip
    write_rows(folder / padchest_tree.TABLE, [dict(zip(FULL_COLUMNS, cells, strict=True))])
    return [study["StudyID"]]


def _no_facts(folder: Path, seed: int) -> list[str]:
    path = folder / f"{padchest_gr_tree.MASTER}.zip"
    rows = read_rows(path)
    study = rows[_first(rows, seed, "study-without-facts")]["StudyID"]
    write_rows(path, [row for row in rows if row["StudyID"] != study])
    return [study]


def _shared_patient(folder: Path, seed: int) -> list[str]:
    """A patient with studies in two splits."""
    path = folder / f"{padchest_gr_tree.MASTER}.zip"
    rows = read_rows(path)
    first = rows[_first(rows, seed, "patient-two-splits")]
    other = next(row for row in rows if row["split"] != first["split"])
    for row in rows:
        if row["StudyID"] == other["StudyID"]:
            row["PatientID"] = first["PatientID"]
    write_rows(path, rows)
    return [f"PadChest-GR: {first['PatientID']}"]


def _no_part(folder: Path, _: int) -> list[str]:
    """A part of the archive of priors is not there."""
    name = f"{padchest_gr_tree.PRIORS}.zip.002"
    (folder / padchest_gr_tree.PRIORS / name).unlink()
    return [f"{folder / padchest_gr_tree.PRIORS} lacks {name}"]


def _order(folder: Path, seed: int) -> list[str]:
    """The order of a study is that of the first."""
    rows = read_rows(folder / chexpert_plus_tree.TABLE)
    later = [row for row in rows if "/study2/view1" in row["path_to_image"]]
    row = later[_first(later, seed, "order-disagrees")]
    row["patient_report_date_order"] = "1"
    write_rows(folder / chexpert_plus_tree.TABLE, rows)
    name = row["deid_patient_id"]
    return [f"{name}-study1 {name}-study2"]


def _other_report(folder: Path, seed: int) -> list[str]:
    """The report of a second image of a study says something else."""
    rows = read_rows(folder / chexpert_plus_tree.TABLE)
    second = [row for row in rows if "/view2" in row["path_to_image"]]
    row = second[_first(second, seed, "reports-disagree")]
    row["section_findings"] = "Another report."
    write_rows(folder / chexpert_plus_tree.TABLE, rows)
    return [row["path_to_image"]]


def _two_parts(folder: Path, seed: int) -> list[str]:
    """The second study of a training patient is in valid."""
    rows = read_rows(folder / chexpert_plus_tree.TABLE)
    usable = [row for row in rows if "/study2/view1" in row["path_to_image"]]
    row = usable[_first(usable, seed, "patient-two-splits")]
    row["split"] = "valid" if row["split"] == "train" else "train"
    write_rows(folder / chexpert_plus_tree.TABLE, rows)
    return [f"CheXpert Plus: {row['deid_patient_id']}"]


def _rex(change: Callable[[dict[str, dict[str, Any]], int], list[str]]) -> Injector:
    def inject(folder: Path, seed: int) -> list[str]:
        path = folder / METADATA / "train_metadata_view_position.json"
        return _edit_json(path, lambda studies: change(studies, seed))

    return inject


def _no_patient(studies: dict[str, dict[str, Any]], seed: int) -> list[str]:
    index = _first(list(studies), seed, "release-row")
    studies[list(studies)[index]]["PatientID"] = None
    return [f"train_metadata_view_position.json study {index + 1}, column 'PatientID'"]


def _no_text(studies: dict[str, dict[str, Any]], seed: int) -> list[str]:
    name = list(studies)[_first(list(studies), seed, "report-without-text")]
    studies[name]["Findings"], studies[name]["Impression"] = "None", "NaN"
    return [name]


def _one_date(studies: dict[str, dict[str, Any]], seed: int) -> list[str]:
    names = list(studies)
    pairs = [
        (first, second)
        for first, second in pairwise(names)
        if studies[first]["PatientID"] == studies[second]["PatientID"]
    ]
    first, second = pairs[_first(pairs, seed, "same-date")]
    studies[second]["StudyDate"] = studies[first]["StudyDate"]
    return [f"{first} {second}"]


def _patient_in_test(folder: Path, seed: int) -> list[str]:
    """A test study is given to a patient of the training part."""
    train = json.loads((folder / METADATA / "train_metadata_view_position.json").read_text())
    patient = next(iter(train.values()))["PatientID"]

    def change(studies: dict[str, dict[str, Any]]) -> list[str]:
        name = list(studies)[_first(list(studies), seed, "patient-two-splits")]
        studies[name]["PatientID"] = patient
        return [f"ReXGradient-160K: {patient}"]

    return _edit_json(folder / METADATA / "test_metadata_view_position.json", change)


_MASTER = f"{padchest_gr_tree.MASTER}.zip"
REPORT_RELEASES: dict[str, dict[str, Injector]] = {
    "padchest": {
        "changed-id": _cell(padchest_tree.TABLE, "PatientID", "8.39860488694292E+38"),
        "release-row": _cell(padchest_tree.TABLE, "StudyDate_DICOM", "15/09/2014"),
        "release-table": _no_column(padchest_tree.TABLE, "Labels"),
        "unknown-label": _unknown_label,
        "study-two-patients": _shared_study,
    },
    "padchest-gr": {
        "changed-id": _grounded(_number_id),
        "release-table": _no_column(_MASTER, "split"),
        "study-without-facts": _no_facts,
        "patient-two-splits": _shared_patient,
        "finding-without-box": _grounded(_no_box),
        "fraction-box": _grounded(_wide_box),
        "prior-later": _later_prior,
        "prior-two-patients": _grounded(_other_prior),
        "prior-missing": _grounded(_no_prior_file),
        "damaged-parts": _no_part,
    },
    "chexpert-plus": {
        "release-row": _cell(chexpert_plus_tree.TABLE, "age", "old"),
        "order-disagrees": _order,
        "reports-disagree": _other_report,
        "patient-two-splits": _two_parts,
    },
    "rexgradient": {
        "release-row": _rex(_no_patient),
        "report-without-text": _rex(_no_text),
        "same-date": _rex(_one_date),
        "patient-two-splits": _patient_in_test,
    },
}
