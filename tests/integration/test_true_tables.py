"""The true tables of public releases give the published counts.

LAPSE_RELEASE_TABLES   the wheel of torchxrayvision 1.5.7 (`pip download torchxrayvision==1.5.7
                       --no-deps`), which holds copies of the tables, or a folder with the same
                       files; the package is not installed and never a dependency
LAPSE_FILMS            a folder with the films of Hannover and their data.csv
"""

import csv
import gzip
import hashlib
import os
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from experiments.hannover_table import write_table
from lapse.core.changes import UNCHANGED
from lapse.data.datasets.chexpert_plus import study_of_path
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.datasets.nih_tables import order_problem, read_entries
from lapse.data.datasets.padchest import read_padchest
from lapse.data.datasets.padchest_labels import FINDING_OF, NORMAL, OUTSIDE
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import find_release, with_experts, with_label_map
from lapse.data.verify.verify import verify
from lapse.metrics.expert_changes import LABELS, TASK

pytestmark = pytest.mark.data
ENTRIES, BOXES = "Data_Entry_2017_v2020.csv.gz", "BBox_List_2017.csv.gz"
PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
GOOGLE = "google2019_nih-chest-xray-labels.csv.gz"
PAIRS = "cc27fb28e9b0a0c3dc75ce4527f7497042ffc3da0cceb4643c59ee87bbab2015"


def table(folder, name):
    """One table of the wheel or folder, copied into a folder."""
    source = os.environ.get("LAPSE_RELEASE_TABLES")
    if not source:
        pytest.skip("LAPSE_RELEASE_TABLES names no wheel and no folder")
    path = Path(source)
    if path.is_dir():
        data = next(path.rglob(name)).read_bytes()
    else:
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(next(item for item in wheel.namelist() if item.endswith(f"/{name}")))
    (folder / name).write_bytes(data)
    return folder / name


@pytest.fixture
def nih(tmp_path):
    for name in (ENTRIES, BOXES):
        table(tmp_path, name)
    return find_release([tmp_path])


def test_consecutive_pairs_of_nih_chest_xray14(nih):
    entries = read_entries(nih.table)
    assert len(entries) == 112_120 and not order_problem(entries)
    ordered = sorted(entries, key=lambda entry: (int(entry.patient), entry.order))
    pairs = [ends for ends in pairwise(ordered) if ends[0].patient == ends[1].patient]
    assert len(pairs) == 81_315 and len({after.patient for _, after in pairs}) == 13_302
    lines = sorted(f"{before.id} {after.id}" for before, after in pairs)
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == PAIRS
    labels = [({*a.labels} - {"No Finding"}, {*b.labels} - {"No Finding"}) for a, b in pairs]
    assert sum(old == new for old, new in labels) == 33_394
    assert sum(len(new - old) for old, new in labels) == 42_708
    assert sum(len(old - new) for old, new in labels) == 40_608
    assert sum(entry.order != entry.number for entry in entries) == 24_106
    as_in_2017 = [replace(entry, order=entry.number) for entry in entries]
    assert "as in 2017" in order_problem(as_in_2017)


@pytest.mark.parametrize(
    ("label_map", "num_pairs", "unchanged"),
    [([], 52_748, 0.633), (["Infiltration=lung opacity"], 69_312, 0.482)],
)
def test_answers_under_both_maps(nih, label_map, num_pairs, unchanged):
    table = PlainTable(with_label_map(nih, label_map))
    assert (table.num_rows, len(table.splits), table.num_boxes) == (112_120, 30_805, 984)
    answers = [pair.answer for pair in table.pairs({study.id: study for study in table.images})]
    assert len(answers) == num_pairs
    assert answers.count(UNCHANGED) / len(answers) == pytest.approx(unchanged, abs=5e-4)


def test_pairs_of_expert_readers(nih, tmp_path):
    roots = with_experts(nih, [table(tmp_path, GOOGLE)])
    opened = PlainTable(roots)
    pairs = opened.pairs({study.id: study for study in opened.images})
    truths = [pair.answer for pair in pairs if pair.category == TASK]
    assert len(truths) == 1_338
    changed = {label: sum(f"{label}: unchanged" not in text for text in truths) for label in LABELS}
    assert changed == {"pneumothorax": 46, "airspace opacity": 229, "nodule or mass": 146}


def test_the_tables_have_no_defect(nih):
    report = verify(nih, subset=True)
    assert report.exit_code == 0, report.lines()
    rows = {row.table: row.num_rows for row in report.rows}
    assert (rows["images"], rows["patients"], rows["boxes"]) == (112_120, 30_805, 984)


def test_films_of_hannover_as_own_films(tmp_path):
    """Later films have lower offsets: 90 neighbours are later, 18 of the same day."""
    films = os.environ.get("LAPSE_FILMS")
    source = next(Path(films).rglob("data.csv"), None) if films else None
    if source is None:
        pytest.skip("LAPSE_FILMS names no folder with the films of Hannover")
    write_table(source.parent, tmp_path / "films.csv")
    opened = PlainTable(find_table_roots(tmp_path / "films.csv", source.parent / "png"))
    assert all(opened.image_path(film).is_file() for film in opened.images)
    series = {}
    for film in opened.images:
        series.setdefault(film.patient, []).append(film.taken_at)
    steps = [
        after - before for times in series.values() for before, after in pairwise(sorted(times))
    ]
    assert len(steps) == 108 and sum(step.total_seconds() > 0 for step in steps) == 90
    assert opened.time == "days" and all(name.startswith("hannover:") for name in series)


def count_serial(rows):
    """Consecutive frontal, labelled studies: later ones, same day, later with one labeller."""
    studies = {}
    for row in rows:
        if row.is_frontal and row.labels is not None:
            studies.setdefault((row.patient, row.study), row)
    ordered = sorted(studies.values(), key=lambda row: (row.patient, row.date))
    pairs = [(a, b) for a, b in pairwise(ordered) if a.patient == b.patient]
    later = [(a, b) for a, b in pairs if a.date < b.date]
    return len(later), len(pairs) - len(later), sum(a.labeller == b.labeller for a, b in later)


def test_padchest_has_39910_later_pairs(tmp_path):
    rows = list(read_padchest(table(tmp_path, PADCHEST)))
    assert len(rows) == 160_861 and len({row.patient for row in rows}) == 67_625
    assert count_serial(rows) == (39_910, 1_561, 32_467)
    assert sum(row.labels is None for row in rows) == 103
    mentions = Counter(name for row in rows for name in row.labels or ())
    assert {name.lower() for name in mentions} == {*FINDING_OF, *OUTSIDE, NORMAL}
    mapped = sum(count for name, count in mentions.items() if name in FINDING_OF)
    assert mapped / mentions.total() == pytest.approx(0.340, abs=0.001)


def test_questions_of_padchest(tmp_path):
    table(tmp_path, PADCHEST)
    roots = find_release([tmp_path])
    report = verify(roots, subset=True)
    assert report.exit_code == 0, report.lines()
    rows = {row.table: row.num_rows for row in report.rows}
    assert (rows["images"], rows["patients"]) == (160_858, 67_623)
    assert rows["difference questions"] == 8_636
    opened = PlainTable(roots)
    answers = [pair.answer for pair in opened.pairs({study.id: study for study in opened.images})]
    assert answers.count(UNCHANGED) == 5_168


def test_chexpert_has_123091_frontal_pairs_whose_age_never_falls(tmp_path):
    studies = {}
    num_rows = 0
    with gzip.open(table(tmp_path, "chexpert_train.csv.gz"), "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            num_rows += 1
            if row["Frontal/Lateral"] == "Frontal":
                studies.setdefault(study_of_path(row["Path"]), int(row["Age"]))
    assert num_rows == 223_414
    neighbours = pairwise(sorted(studies.items()))
    pairs = [ends for ends in neighbours if ends[0][0][0] == ends[1][0][0]]
    assert len(pairs) == 123_091
    assert all(before[1] <= after[1] for before, after in pairs)
