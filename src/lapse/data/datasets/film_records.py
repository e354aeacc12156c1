"""Films, findings, boxes and stated changes in memory: the form that every source of films takes.

    films.csv, boxes.csv, changes.csv --read_own_table--> FilmRecords --> PlainTable
    NIH ChestX-ray14, PadChest, ...   --Release.read----'

Everything after it is shared: pairs and their answers, regions, splits, the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lapse.data.datasets.discovery import TableRoots
from lapse.data.datasets.plain_boxes import BoxRow, read_boxes
from lapse.data.datasets.plain_changes import StatedChanges, read_changes
from lapse.data.datasets.plain_info import DatasetInfo, read_dataset_info
from lapse.data.datasets.plain_rows import FilmRow, read_films
from lapse.data.datasets.plain_studies import PlainStudy, group_studies, patient_splits
from lapse.data.io.skip_log import SkipLog


@dataclass(frozen=True, slots=True)
class FilmRecords:
    """What the tables of one data set say.

    Attributes:
        info: what the data set is.
        studies: study -> its rows, from `group_studies`.
        splits: patient (as in the table) -> train, validate or test.
        boxes: boxes of images, by `FilmRow.image`.
        stated: (reference, main) -> changes that replace those of the findings.
        unanswered: (reference, main) studies to answer that have no answer in the data set.
        notes: facts about how the tables were read, for the provenance of scores: where the
            splits come from, which labels were mapped by an option.
        skipped, noted: rows that are not used, and anomalies of what is used.
    """

    info: DatasetInfo
    studies: Mapping[str, PlainStudy]
    splits: Mapping[str, str]
    boxes: tuple[BoxRow, ...] = ()
    stated: Mapping[tuple[str, str], StatedChanges] = field(default_factory=dict)
    unanswered: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    skipped: SkipLog = field(default_factory=SkipLog)
    noted: SkipLog = field(default_factory=SkipLog)

    @property
    def rows(self) -> list[FilmRow]:
        """The row of every image."""
        return [row for study in self.studies.values() for row in study.rows]


def read_own_table(roots: TableRoots) -> FilmRecords:
    """The table of own films and the files next to it.

    Raises:
        ValueError: a table is missing or has an error; the message names row, column, value and
            what to write instead.
    """
    info = read_dataset_info(roots.dataset)
    rows = read_films(roots.table, info=info)
    boxes = read_boxes(roots.boxes, unit=info.box_unit) if roots.boxes is not None else []
    splits, studies = patient_splits(rows), group_studies(rows)
    stated = {} if roots.changes is None else read_changes(roots.changes, studies)
    return FilmRecords(info, studies, splits, tuple(boxes), stated)
