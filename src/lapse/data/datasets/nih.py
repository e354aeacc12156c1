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
from collections.abc import Iterator, Mapping
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
    BoxEntry,
    Entry,
    order_defects,
    order_problem,
    read_boxes,
    read_entries,
)
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import (
    ImageIndex,
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
OUTSIDE = ("infiltration", "mass", "nodule", "fibrosis")
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
    remark = LABEL_REMARK
    outside = OUTSIDE
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
        label_map = dict(roots.label_map)
        exact = {**LABELS, **{name.capitalize(): label_map[name] for name in label_map}}
        outside = tuple(name for name in OUTSIDE if name not in label_map)
        noted = SkipLog()
        images = ImageIndex(roots.folder, ("images", "images_*/images", "images_*"), noted)
        rows = [_row(entry, exact, outside, images) for entry in entries]
        splits, source = read_splits(roots.folder, entries)
        stated = expert_pairs(entries, read_experts(roots.experts))
        evaluated = {reference.partition("_")[0] for reference, _ in stated}
        splits |= dict.fromkeys(evaluated, "test")
        info = DatasetInfo(
            name=self.title,
            licence="open, with link, acknowledgement and citation",
            remark=f"{LABEL_REMARK}{EXPERT_REMARK if roots.experts else ''}",
            prefix="nih",
            labelled=tuple(dict.fromkeys(exact.values())),
            outside=outside,
        )
        paths = {row.id: row.image for row in rows}
        boxes = tuple(_boxes(roots, paths, exact)) if _box_table(roots) else ()
        notes = [source, *mapping_notes(roots)]
        if roots.experts:
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
            labels = {entry.image: entry.labels for entry in entries}
            yield from _box_defects(read_boxes(table), labels)


def _row(
    entry: Entry, exact: Mapping[str, str], outside: tuple[str, ...], images: ImageIndex
) -> FilmRow:
    labels = [label for label in entry.labels if label != NO_FINDING]
    try:
        findings = labelled_findings(labels, exact, outside)
    except ValueError as error:
        raise ValueError(f"{entry.where}: {error}") from error
    return FilmRow(
        cells=Cells(entry.table, entry.line, {}, "line"),
        patient=entry.patient,
        study=entry.study,
        image=images.path(entry.image, f"images/{entry.image}"),
        order=entry.follow_up,
        view=entry.view,
        findings=findings if labels else StudyFindings(),
        id=entry.image,
    )


def _box_table(roots: ReleaseRoots) -> Path | None:
    return next(iter(tables_with(roots.folder, BOX_COLUMNS)), None)


def _boxes(
    roots: ReleaseRoots, paths: Mapping[str, str], exact: Mapping[str, str]
) -> Iterator[BoxRow]:
    """The boxes of findings, each with a phrase."""
    table = _box_table(roots)
    assert table is not None, "there is a table of boxes"
    for box in read_boxes(table):
        cells = Cells(table.name, box.line, {"image": box.image}, "line")
        if box.image not in paths:
            raise cells.error("Image Index", f"is not in {roots.table.name}", box.image)
        name = exact.get(box.label, box.label.lower())
        yield BoxRow(
            cells=cells,
            image=paths[box.image],
            region=f"{FINDING_BOX}{name}",
            phrase=f"There is {_COUNTED.get(name, name)}.",
            corners=box.corners,
            size=(SIDE, SIDE),
        )


def _box_defects(
    boxes: list[BoxEntry], labels: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    for box in boxes:
        name = f"{box.image} {box.label}"
        if box.label not in labels.get(box.image, ()):
            yield "box-label", name
        x_min, y_min, x_max, y_max = box.corners
        if x_min < 0 or y_min < 0 or max(x_max, y_max) > SIDE:
            yield "box-outside", name
