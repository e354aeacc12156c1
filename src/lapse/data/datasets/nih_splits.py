"""The split of NIH ChestX-ray14: the two published lists of images, by patient.

The release has no validation part: it is a tenth of the patients of train_val_list.txt, by a hash.
Without the lists, patients are split 80 / 10 / 10 by the same hash. A `splits.csv` of a third party
(Image Index, split) is used if it is by patient; many are by image, and then test patients are
trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lapse.data.datasets.nih_tables import Entry
from lapse.data.datasets.plain_studies import split_of
from lapse.data.io.csv_tables import parse_split, read_rows

LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
SPLIT_FILE = "splits.csv"
ENDS = ((0.8, "train"), (0.9, "validate"), (1.0, "test"))
OF_TRAINING = ((0.9, "train"), (1.0, "validate"))
_TEXTS = {
    "patient-two-splits": "patients in two parts (take a split by patient, or remove the file for "
    "a split by a hash of the patient)",
    "image-without-split": "images in none of the parts (fetch the files again)",
}


def read_splits(folder: Path, entries: Sequence[Entry]) -> tuple[dict[str, str], str]:
    """Patient -> split, and where the splits come from.

    Raises:
        ValueError: only one list is there, a patient is in both, an image is in neither, or
            splits.csv divides patients.
    """
    split_of_image, source = _published(folder)
    if not split_of_image:
        patients = {entry.patient: split_of(entry.patient, ENDS) for entry in entries}
        return patients, "splits by a hash of the patient (80/10/10)"
    for code, names in _conflicts(split_of_image, entries).items():
        if names:
            listed = ", ".join(names[:3])
            raise ValueError(f"{source} in {folder}: {len(names)} {_TEXTS[code]}; first: {listed}")
    patients = {entry.patient: split_of_image[entry.id] for entry in entries}
    if "validate" not in patients.values():
        source += ", a tenth of the training patients for validation"
        patients = {
            patient: split_of(patient, OF_TRAINING) if split == "train" else split
            for patient, split in patients.items()
        }
    return patients, f"splits from {source}"


def list_defects(folder: Path, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """(code, id) of patients in two parts and of images in none."""
    try:
        split_of_image, _ = _published(folder)
    except ValueError as error:
        yield "release-table", str(error)
        return
    if split_of_image:
        for code, names in _conflicts(split_of_image, entries).items():
            yield from ((code, name) for name in names)


def _published(folder: Path) -> tuple[dict[str, str], str]:
    """Image -> split by the lists or by splits.csv, {} without them, and their names."""
    lists = {path: split for name, split in LISTS.items() if (path := folder / name).is_file()}
    table = folder / SPLIT_FILE
    if lists and table.is_file():
        raise ValueError(f"{table} and {next(iter(lists)).name} are both splits: keep one of them")
    if table.is_file():
        rows = read_rows(table, ("Image Index", "split"))
        return {image.strip(): parse_split(split, table) for image, split in rows}, SPLIT_FILE
    if not lists:
        return {}, ""
    if len(lists) < len(LISTS):
        missing = next(name for name in LISTS if not (folder / name).is_file())
        raise ValueError(f"{folder} has {next(iter(lists)).name} and no {missing}: fetch it too")
    splits: dict[str, str] = {}
    for path, split in lists.items():
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            name = line.strip()
            if name and splits.setdefault(name, split) != split:
                raise ValueError(f"{path} and the other list both name {name}: fetch them again")
    return splits, " and ".join(LISTS)


def _conflicts(split_of_image: Mapping[str, str], entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Code of a defect -> the patients in two parts, or the images in none."""
    parts: dict[str, set[str]] = {}
    for entry in entries:
        if entry.id in split_of_image:
            parts.setdefault(entry.patient, set()).add(split_of_image[entry.id])
    return {
        "patient-two-splits": [name for name, splits in parts.items() if len(splits) > 1],
        "image-without-split": [entry.id for entry in entries if entry.id not in split_of_image],
    }
