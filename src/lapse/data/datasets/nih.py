"""NIH ChestX-ray14: 112,120 frontal films of 30,805 patients, ordered by `Follow-up #`.

    ROOT/Data_Entry_2017_v2020.csv    a row per image
    ROOT/BBox_List_2017.csv           optional: 984 boxes of findings (nih_tables)
    ROOT/train_val_list.txt, test_list.txt    optional: the published split (nih_splits)
    ROOT/images/*.png, or ROOT/images_001/images/*.png ...

The answers have additions and removals only: the labels have no levels. Source: Wang et al. 2017;
the numbers of the release were counted in its tables.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lapse.core.types import FINDING_BOX
from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.nih_experts import expert_pairs, read_experts
from lapse.data.datasets.nih_splits import LISTS, SPLIT_FILE, list_defects, read_splits
from lapse.data.datasets.nih_tables import (
    BOX_COLUMNS,
    ENTRY_COLUMNS,
    EXPERT_COLUMNS,
    SIDE,
    Entry,
    order_defects,
    order_problem,
    read_boxes,
    read_entries,
)
from lapse.data.datasets.packed_images import ImageIndex
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import (
    Release,
    labelled_findings,
    mapping_notes,
    tables_with,
)
from lapse.data.io.skip_log import SkipLog

LABELS = {  # exact names; the others are outside the 30 findings
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Effusion": "pleural effusion",
    "Emphysema": "emphysema",
    "Hernia": "hernia",
    "Pleural_Thickening": "pleural thickening",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
}
NO_FINDING = "No Finding"
LABEL_REMARK = (
    "about 85% of NIH change labels are not confirmed by expert readers: never an evaluation set "
    "on its own answers"
)
EXPERT_REMARK = "; the answers of expert_changes are those of expert readers"
BOX_URL = "https://nihcc.app.box.com/v/ChestXray-NIHCC"
_COUNTED = {"mass": "a mass", "nodule": "a nodule", "hernia": "a hernia"}
_COUNTED |= {"pleural effusion": "a pleural effusion", "pneumothorax": "a pneumothorax"}

logger = logging.getLogger(__name__)


class Nih(Release):
    """The release."""

    title = "NIH ChestX-ray14"
    licence = "open, with link, acknowledgement and citation"
    prefix = "nih"
    remark = LABEL_REMARK
    outside = ("infiltration", "mass", "nodule", "fibrosis")
    expert_columns = ("Image Index", *EXPERT_COLUMNS)
    published = MappingProxyType({"images": 112_120, "patients": 30_805, "boxes": 984})

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The table of entries, then the boxes and the split, where they are in the folder."""
        entries = tables_with(folder, ENTRY_COLUMNS, without=EXPERT_COLUMNS)
        if not entries:
            return ()
        if len(entries) > 1:  # the table of 2017 may still be there
            usable = [path for path in entries if not order_problem(read_entries(path))]
            logger.info("%s is read: %d tables of entries", (usable or entries)[0], len(entries))
            entries = usable or entries
        sides = [folder / name for name in (*LISTS, SPLIT_FILE)]
        boxes = tables_with(folder, BOX_COLUMNS)
        return (entries[0], *boxes[:1], *(path for path in sides if path.is_file()))

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films in the order of `Follow-up #`.

        Raises:
            ValueError: the table has the numbers of 2017, or a table contradicts itself.
        """
        entries = read_entries(roots.table)
        problem = order_problem(entries)
        if problem:
            raise ValueError(
                f"{roots.table} {problem}, so the order of the films is not known: fetch "
                f"Data_Entry_2017_v2020.csv (8 to 9 MB) from {BOX_URL} into {roots.folder}, and "
                "move this table away; the images can stay"
            )
        exact = {**LABELS, **{label.capitalize(): name for label, name in roots.label_map}}
        info = self.info(exact)
        noted = SkipLog()
        images = ImageIndex(roots.folder, ("images", "images_*/images", "images_*"), noted)
        rows = [
            replace(
                entry,
                image=images.path(entry.id, entry.image),
                findings=_findings(entry, exact, info.outside),
            )
            for entry in entries
        ]
        splits, source = read_splits(roots.folder, entries)
        stated = expert_pairs(entries, read_experts(roots.experts))
        evaluated = {reference.partition("_")[0] for reference, _ in stated}
        splits |= dict.fromkeys(evaluated, "test")
        paths = {row.id: row.image for row in rows}
        boxes = tuple(_boxes(roots, paths, exact))
        notes = [source, *mapping_notes(roots)]
        if roots.experts:
            info = replace(info, remark=f"{LABEL_REMARK}{EXPERT_REMARK}")
            notes.append(
                f"{len(stated)} pairs of expert readers, {len(evaluated)} patients moved to test"
            )
        return FilmRecords(
            info, group_studies(rows), splits, boxes, stated, notes=tuple(notes), noted=noted
        )

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Numbers of 2017, falling ages, patients in two lists, boxes without their label."""
        entries = read_entries(roots.table)
        yield from order_defects(roots.table, entries)
        yield from list_defects(roots.folder, entries)
        if table := _box_table(roots):
            labels = {entry.id: entry.labels for entry in entries}
            yield from _box_defects(read_boxes(table), labels)


def _findings(entry: Entry, exact: Mapping[str, str], outside: Sequence[str]) -> StudyFindings:
    labels = (label for label in entry.labels if label != NO_FINDING)
    return labelled_findings(labels, exact, outside, entry.cells.name)


def _box_table(roots: ReleaseRoots) -> Path | None:
    return next(iter(tables_with(roots.folder, BOX_COLUMNS)), None)


def _boxes(
    roots: ReleaseRoots, paths: Mapping[str, str], exact: Mapping[str, str]
) -> Iterator[BoxRow]:
    """The boxes of findings, each with a phrase."""
    table = _box_table(roots)
    for box in read_boxes(table) if table else ():
        if box.image not in paths:
            raise box.cells.error("Image Index", f"is not in {roots.table.name}", box.image)
        name = exact.get(box.region, box.region.lower())
        region, phrase = f"{FINDING_BOX}{name}", f"There is {_COUNTED.get(name, name)}."
        yield replace(box, image=paths[box.image], region=region, phrase=phrase)


def _box_defects(
    boxes: list[BoxRow], labels: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    for box in boxes:
        name = f"{box.image} {box.region}"
        if box.region not in labels.get(box.image, ()):
            yield "box-label", name
        x_min, y_min, x_max, y_max = box.corners
        if x_min < 0 or y_min < 0 or max(x_max, y_max) > SIDE:
            yield "box-outside", name
