"""Find the raw datasets below the given folders, by the files that they contain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path

from lapse.core.registry import TABLES
from lapse.data.datasets import ms_cxr_t
from lapse.data.datasets.chest_imagenome import MAC_FOLDER
from lapse.data.io.csv_tables import matching_tables

MAX_DEPTH = 5  # physionet.org/files/<name>/<version> and one more
SIMULATED = "SIMULATED.txt"  # written by `lapse simulate` next to its trees
BOX_TABLES = ("boxes.csv", "boxes.json")  # next to the table of own films
CHANGE_TABLE, DATASET_FILE = "changes.csv", "dataset.json"
_PATIENT_GROUP = re.compile(r"p\d\d+")
# folders of a dataset that hold no other
_PARTS = {"files", "silver_dataset", "gold_dataset", "PNG", "train", "valid", "deid_png"}


@dataclass(frozen=True, slots=True)
class DatasetRoots:
    """The folders of the four datasets, and of the optional MS-CXR-T."""

    mimic_cxr_jpg: Path
    reports: Path
    chest_imagenome: Path
    medical_diff_vqa: Path
    ms_cxr_t: Path | None = None

    def describe(self) -> str:
        """The names of the folders, and whether the images are simulated."""
        folders = [getattr(self, field.name) for field in fields(self)]
        return _described(self.mimic_cxr_jpg.parent, filter(None, folders))


@dataclass(frozen=True, slots=True)
class TableRoots:
    """A table of the user's own films, the folder of its images, and optional files next to it.

    `masks` is a CSV of CheXmask. `reports` is None: the reports are in the table.
    """

    table: Path
    images: Path
    boxes: Path | None = None
    changes: Path | None = None
    dataset: Path | None = None
    masks: Path | None = None
    reports: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files but the images."""
        files = (self.table, self.boxes, self.changes, self.dataset, self.masks)
        return tuple(path for path in files if path is not None)

    def describe(self) -> str:
        """The name of the table, and whether the images are simulated."""
        return _described(self.table.parent, [self.table])


@dataclass(frozen=True, slots=True)
class ReleaseRoots:
    """The files of a public release of films (lapse.data.datasets.release).

    Attributes:
        name: its registered name.
        folder: the folder of its tables; the images are in it or below.
        tables: the tables by which it was recognised, the main one first.
        masks: a CSV of CheXmask for the regions, or None.
        experts: tables of labels by expert readers, for a store to evaluate on.
        label_map: (label, finding): labels outside the 30 findings that the user maps to one.
        language: of the reports and phrases, in a release that has several.
        reports: None: the reports are in the tables.
    """

    name: str
    folder: Path
    tables: tuple[Path, ...]
    masks: Path | None = None
    experts: tuple[Path, ...] = ()
    label_map: tuple[tuple[str, str], ...] = ()
    language: str = "en"
    reports: Path | None = None

    @property
    def table(self) -> Path:
        """The main table."""
        return self.tables[0]

    @property
    def images(self) -> Path:
        """The folder to which the paths of the images are relative."""
        return self.folder

    @property
    def is_simulated(self) -> bool:
        """Whether `lapse simulate` wrote the files."""
        return (self.folder / SIMULATED).is_file()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files but the images."""
        masks = () if self.masks is None else (self.masks,)
        return (*self.tables, *self.experts, *masks)

    def describe(self) -> str:
        """The names of the files, and whether the images are simulated."""
        return _described(self.folder, self.files)


def _described(folder: Path, paths: Iterable[Path]) -> str:
    names = ", ".join(dict.fromkeys(path.name for path in paths))
    return f"simulated: {names}" if (folder / SIMULATED).is_file() else names


def find_table_roots(table: Path, images: Path) -> TableRoots:
    """The files of a table of own films: the table, and what is next to it.

    Raises:
        ValueError: the table or the folder of images does not exist, or there are two files of
            boxes.
    """
    if not table.is_file():
        raise ValueError(f"no table {table}: give the CSV that lists the films")
    if not images.is_dir():
        raise ValueError(f"no folder {images}: give the folder of the images with --images")
    boxes = [path for path in map(table.with_name, BOX_TABLES) if path.is_file()]
    if len(boxes) > 1:
        raise ValueError(f"{boxes[0]} and {boxes[1].name} are both boxes: keep one of them")
    changes, dataset = (
        path if (path := table.with_name(name)).is_file() else None
        for name in (CHANGE_TABLE, DATASET_FILE)
    )
    return TableRoots(table, images, boxes[0] if boxes else None, changes, dataset)


DESCRIPTIONS: dict[str, str] = {
    "mimic_cxr_jpg": "MIMIC-CXR-JPG: mimic-cxr-2.0.0-metadata.csv.gz and files/p10/...",
    "reports": "MIMIC-CXR reports: files/p10/p<subject>/s<study>.txt, or mimic_cxr_sectioned.csv",
    "chest_imagenome": "Chest ImaGenome: silver_dataset/scene_graph.zip and silver_dataset/splits",
    "medical_diff_vqa": "Medical-Diff-VQA: mimic_pair_questions.csv",
    "ms_cxr_t": "MS-CXR-T: MS_CXR_T_temporal_image_classification_v1.0.0.csv",
}
OPTIONAL = {"ms_cxr_t"}


def find_roots(paths: Sequence[Path]) -> DatasetRoots:
    """The datasets in the given folders, or in folders up to five levels below.

    Raises:
        ValueError: a folder does not exist, a dataset is missing, or there are two copies of one;
            the message describes the files of each missing dataset, and names packed archives.
    """
    archives: list[Path] = []
    folders_of: dict[str, list[Path]] = {field.name: [] for field in fields(DatasetRoots)}
    for path in paths:
        if not Path(path).is_dir():
            raise ValueError(f"no folder {path}: give the folders that hold the datasets")
        for folder in folders_below(Path(path)):
            archives += _archives(folder)
            for dataset, is_dataset in _DETECTORS.items():
                if is_dataset(folder) and folder not in folders_of[dataset]:
                    folders_of[dataset].append(folder)
    missing = [
        DESCRIPTIONS[dataset]
        for dataset, folders in folders_of.items()
        if not folders and dataset not in OPTIONAL
    ]
    if missing:
        listed = ", ".join(map(str, archives[:5]))
        hint = f". These archives are packed: {listed}; unpack them there" if archives else ""
        if not any(folders_of.values()):
            others = ", ".join(plugin.description for plugin in TABLES["releases"].values())
            hint = f". Nor is there another release ({others}){hint}"
        raise ValueError(
            f"not found under {', '.join(str(path) for path in paths)}: {'; '.join(missing)}{hint}"
        )
    for dataset, folders in folders_of.items():
        if len({folder.resolve() for folder in folders}) > 1:
            listed = ", ".join(str(folder) for folder in folders)
            name = DESCRIPTIONS[dataset].split(":")[0]
            raise ValueError(f"several copies of {name}: {listed}; give only one of them")
    return DatasetRoots(
        **{dataset: folders[0] for dataset, folders in folders_of.items() if folders}
    )


def folders_below(
    folder: Path,
    depth: int = MAX_DEPTH,
    *,
    is_release: Callable[[Path], bool] = lambda _: False,
) -> Iterator[Path]:
    """This folder and those below, except those of patients, images and scene graphs.

    Args:
        depth: number of levels below it.
        is_release: whether a folder holds the tables of a release, next to which there can be
            100,000 folders of images.
    """
    yield folder
    if depth == 0:
        return
    is_dataset = is_mimic_folder(folder) or is_release(folder)
    for child in sorted(folder.iterdir()):
        is_part = is_dataset and child.name in _PARTS
        is_hidden = child.name.startswith(".") or child.name == MAC_FOLDER
        if is_part or is_hidden or _PATIENT_GROUP.fullmatch(child.name):
            continue
        if child.is_dir():
            yield from folders_below(child, depth - 1, is_release=is_release)


def _archives(folder: Path) -> list[Path]:
    """The packed archives of a folder, such as mimic-cxr-reports.zip."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in {".zip", ".tar", ".tgz"} and not path.name.startswith(".")
    )


def is_mimic_folder(folder: Path) -> bool:
    """Whether a folder holds one of the datasets of `DatasetRoots`."""
    return any(is_dataset(folder) for is_dataset in _DETECTORS.values())


def _has_table(pattern: str, folder: Path) -> bool:
    return bool(matching_tables(folder, pattern))


def _has_reports(folder: Path) -> bool:
    """Checks a few patients of each group: a tree of images has 65,000 folders without reports."""
    if matching_tables(folder, "mimic_cxr_sectioned"):
        return True
    for group in folder.glob("files/p[0-9][0-9]"):
        for patient in islice(group.glob("p*"), 3):
            if next(patient.glob("s*.txt"), None) is not None:
                return True
    return False


def _is_chest_imagenome(folder: Path) -> bool:
    silver = folder / "silver_dataset"
    return (silver / "scene_graph.zip").is_file() or (silver / "scene_graph").is_dir()


_DETECTORS: dict[str, Callable[[Path], bool]] = {
    "mimic_cxr_jpg": partial(_has_table, "mimic-cxr-2.*-metadata"),
    "reports": _has_reports,
    "chest_imagenome": _is_chest_imagenome,
    "medical_diff_vqa": partial(_has_table, "mimic_pair_questions"),
    "ms_cxr_t": partial(_has_table, ms_cxr_t.TABLE),
}
