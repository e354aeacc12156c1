"""Simulated patients in the layout of NIH ChestX-ray14, with the peculiarities of its files.

    OUT/Data_Entry_2017_v2020.csv, BBox_List_2017.csv, train_val_list.txt, test_list.txt
    OUT/images_001/images/<patient>_<number>.png    1024 x 1024, squashed, some of them RGBA
    OUT/experts/four_findings_expert_labels.csv     what expert readers see: the truth
    OUT/chexmask/OriginalResolution/ChestX-Ray8.csv (lapse.phantom.dataset.mask_table)

The numbers in the names of one patient in ten are rotated, while `Follow-up #` keeps the order in
time. "Infiltration" is called "Infiltrate" in the table of boxes, whose header has nine fields and
whose rows have six.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_index
from lapse.phantom.dataset.mask_table import MASK_HEADER, mask_row
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.release_tree import (
    Cell,
    SimulatedFilm,
    simulated_patients,
    write_csv,
)

SIDE = 1024
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
LABELS = {  # finding of the phantom -> label
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "pleural effusion": "Effusion",
    "emphysema": "Emphysema",
    "hernia": "Hernia",
    "lung opacity": "Infiltration",
    "granuloma": "Nodule",
    "pleural thickening": "Pleural_Thickening",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}
# labels that have boxes; a film has a box of the first one
BOXED = (
    "Infiltration", "Atelectasis", "Effusion", "Cardiomegaly", "Pneumonia", "Pneumothorax",
    "Nodule",
)  # fmt: skip
MAX_AGE = 95
# one of so many patients, first films, label lists, patients with expert labels
ROTATED, RGBA, SHUFFLED, READ = 10, 20, 10, 2
EXPERT_HEADER = "Image Index,Patient ID,Fracture,Pneumothorax,Airspace opacity,Nodule or mass"
EXPERT_FINDINGS = (
    {"fracture"},
    {"pneumothorax"},
    {"lung opacity", "consolidation", "pneumonia", "edema"},
    {"granuloma"},
)
EXPERTS = Path("experts") / "four_findings_expert_labels.csv"
MASKS = Path("chexmask") / "OriginalResolution" / "ChestX-Ray8.csv"


def write_nih_tree(out: Path, config: SimulateConfig, progress: Progress = no_progress) -> None:
    """Write a tree; images are rendered at `config.size` and stored with 1024 x 1024 pixels.

    Args:
        out: a new or empty folder.
        config: patients, seed, size, visits and difficulty.
        progress: called with (patients done, all patients).

    Raises:
        ValueError: the folder has files in it.
    """
    entries: list[tuple[Cell, ...]] = []
    boxes: list[tuple[Cell, ...]] = []
    masks: list[tuple[Cell, ...]] = []
    experts: list[tuple[Cell, ...]] = []
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    is_rotated = False
    for films in simulated_patients(out, config, progress):
        patient = films[0].history.patient
        rotates = derive_index(ROTATED, config.seed, "phantom/nih/rotate", patient) == 0
        rotates = len(films) > 1 and (rotates or not is_rotated)  # at least one patient
        is_rotated = is_rotated or rotates
        for film in films:
            number = (film.number + rotates) % len(films)
            name = f"{patient + 1:08d}_{number:03d}.png"
            labels = _labels(film, config.seed)
            _write_image(out / "images_001" / "images" / name, film)
            entries.append((name, *_entry(film, labels)))
            boxes += ((name, *row) for row in _boxes(film, labels))
            masks.append((name, *mask_row(film.rendered.boxes, SIDE, (config.seed, name))))
            if patient % READ == 0:
                seen = ("YES" if film.levels.keys() & names else "NO" for names in EXPERT_FINDINGS)
                experts.append((name, patient + 1, *seen))
            part = "test_list.txt" if film.history.role.split == "test" else "train_val_list.txt"
            lists[part].append(name)
    write_csv(out / "Data_Entry_2017_v2020.csv", ENTRY_HEADER, entries)
    write_csv(out / "BBox_List_2017.csv", BOX_HEADER, boxes)
    write_csv(out / EXPERTS, EXPERT_HEADER, experts)
    write_csv(out / MASKS, MASK_HEADER, masks)
    for file, names in lists.items():
        (out / file).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _labels(film: SimulatedFilm, seed: int) -> list[str]:
    """The labels of a film, in alphabetical order except for some films."""
    labels = sorted(LABELS[name] for name in film.levels if name in LABELS)
    key = (seed, "phantom/nih/shuffled", film.history.patient, film.number)
    return labels[::-1] if derive_index(SHUFFLED, *key) == 0 else labels


def _entry(film: SimulatedFilm, labels: list[str]) -> tuple[Cell, ...]:
    height, width = film.rendered.image.shape
    return (
        "|".join(labels) or "No Finding", film.number, film.history.patient + 1,
        min(film.age, MAX_AGE), film.history.person.sex, film.exposure.acquisition.view,
        width * 8, height * 8, 0.14300000000000002, 0.14300000000000002,
    )  # fmt: skip


def _boxes(film: SimulatedFilm, labels: list[str]) -> list[tuple[Cell, ...]]:
    """A box for one film of each patient: of a label that has boxes, where the finding is."""
    names = sorted((name for name in labels if name in BOXED), key=BOXED.index)
    if not names or film.number != film.history.patient % 2:
        return []
    finding = next(
        item for item in film.exposure.visit.findings if LABELS.get(item.name) == names[0]
    )
    side = finding.side if finding.side in ("left", "right") else "right"
    region = "cardiac silhouette" if finding.name == "cardiomegaly" else f"{side} lung"
    x_min, y_min, x_max, y_max = (value * SIDE for value in film.rendered.boxes[region])
    name = names[0].replace("Infiltration", "Infiltrate")
    return [(name, x_min, y_min, x_max - x_min, y_max - y_min)]


def _write_image(path: Path, film: SimulatedFilm) -> None:
    """The film as a square of the release; some have four channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(film.rendered.image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    if film.number == 0 and film.history.patient % RGBA == 0:
        image = image.convert("RGBA")
    image.save(path, compress_level=1)
