"""Films of NIH ChestX-ray14 that expert readers labelled -> pairs to evaluate on.

The tables of Google's readers (Majkowska et al. 2019) have a row per film with YES or NO for
"Pneumothorax", "Airspace opacity" and "Nodule or mass". Two films that follow each other
(`Follow-up #` of v2020) and are both in the tables make a pair: 1,338 of them. Their `Follow-up #`
is that of 2017 and is not read. Patients of such pairs are in test, wherever the release has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lapse.data.datasets.nih_tables import EXPERT_COLUMNS, Entry, neighbours
from lapse.data.datasets.plain_changes import StatedChanges
from lapse.data.io.csv_tables import read_rows
from lapse.metrics.expert_changes import LABELS

VALUES = {"yes": True, "no": False}
NAMES = dict(zip(EXPERT_COLUMNS, LABELS, strict=True))  # column -> label of the metric

Seen = Mapping[str, bool]  # label -> whether it was seen; labels without a verdict are left out


def read_experts(paths: Iterable[Path]) -> dict[str, Seen]:
    """Image -> what the readers saw.

    Raises:
        ValueError: a table lacks a column, or two rows of one film differ.
    """
    seen: dict[str, Seen] = {}
    for path in paths:
        for image, *texts in read_rows(path, ("Image Index", *EXPERT_COLUMNS)):
            verdicts = dict(zip(NAMES.values(), texts, strict=True))
            labels = {
                label: VALUES[text.strip().lower()]
                for label, text in verdicts.items()
                if text.strip().lower() in VALUES
            }
            if seen.setdefault(image.strip(), labels) != labels:
                raise ValueError(f"{path} labels {image} twice and differently: keep one row")
    return seen


def expert_pairs(
    entries: Sequence[Entry], seen: Mapping[str, Seen]
) -> dict[tuple[str, str], StatedChanges]:
    """(reference, main) -> the changes of the labels that the readers gave to both films."""
    pairs = {}
    for before, after in neighbours(entries):
        old, new = seen.get(before.id, {}), seen.get(after.id, {})
        states = {
            label: "unchanged" if was_seen == new[label] else "missing" if was_seen else "added"
            for label, was_seen in old.items()
            if label in new
        }
        if states:
            pairs[before.study, after.study] = StatedChanges(experts=states)
    return pairs
