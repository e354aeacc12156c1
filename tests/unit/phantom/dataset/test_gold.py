"""Gold annotations of the phantom in the two files of Chest ImaGenome, read by the loader."""

import csv
import hashlib

import pytest

from lapse.core.annotation_names import GOLD_REGIONS
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import ChestImaGenomeGold
from lapse.data.datasets.mimic_cxr import MimicCxr
from lapse.phantom.dataset.gold import BOXES, PHRASES, gold_rows
from lapse.phantom.dataset.tables import TABLES
from lapse.phantom.dataset.writer import SimulateConfig, simulate


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("gold") / "raw"
    simulate(out, SimulateConfig(patients=6, seed=4, size=96, visits=(2, 3), priors=True))
    return out


@pytest.fixture(scope="module")
def sizes(tree):
    mimic = MimicCxr(tree / "mimic-cxr-jpg")
    return {study.id: mimic.images.sizes[study.id] for study in mimic.read()}


def test_gold_has_the_test_patients_and_26_regions(tree, sizes):
    silver = ChestImaGenome(tree / "chest-imagenome")
    gold = ChestImaGenomeGold(tree / "chest-imagenome")
    assert {silver.split_of[image] for image in gold.images} == {"test"}
    assert set(gold.images) == {image for image in sizes if silver.split_of.get(image) == "test"}
    assert len(GOLD_REGIONS) == 26 and not {"spine", "mediastinum", "abdomen"} & set(GOLD_REGIONS)
    assert set(gold.patient_splits()) <= {(p, s) for p, s in silver.patient_splits() if s == "test"}


def test_gold_boxes_deviate_slightly(tree, sizes):
    silver = ChestImaGenome(tree / "chest-imagenome")
    gold = ChestImaGenomeGold(tree / "chest-imagenome")
    overlaps, num_phrases = [], 0
    for image in gold.images:
        silver_regions = {region.name: region for region in silver.regions(image, sizes[image])}
        for region in gold.regions(image, sizes[image]):
            assert region.phrases == silver_regions[region.name].phrases
            num_phrases += len(region.phrases)
            overlaps.append(region.box.iou(silver_regions[region.name].box))
    assert min(overlaps) > 0.6 and 0.85 < sum(overlaps) / len(overlaps) < 0.999
    assert num_phrases > 10
    # no row is skipped and both frames agree
    assert gold.skipped.total == 0
    unexpected = set(gold.noted.counts) - {"region without a box", "box without phrases"}
    assert not unexpected, gold.noted.lines()


def test_the_layout_is_that_of_the_real_files(tree):
    folder = tree / "chest-imagenome/gold_dataset"
    with (folder / BOXES).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert ",".join(rows[0]) == (
        "image_id,x1,y1,x2,y2,width,height,bbox_name,annot_id,original_x1,original_x2,original_y1,"
        "original_y2,original_width,original_height,annotator,coord224,coord_original"
    )
    assert all(row["image_id"].endswith(".dcm") for row in rows)
    for row in rows:
        for side, axis in (("width", "x"), ("height", "y")):
            for frame in ("", "original_"):
                ends = int(row[f"{frame}{axis}2"]) - int(row[f"{frame}{axis}1"])
                assert int(row[f"{frame}{side}"]) == ends
    text = (folder / PHRASES).read_bytes()
    assert text.startswith(b"patient_id\tstudy_id\timage_id\t")


def test_equal_graphs_give_equal_files(tmp_path):
    graph = {
        "image_id": "a",
        "patient_id": 1,
        "study_id": 2,
        "objects": [
            {"bbox_name": "svc", "original_x1": 10, "original_y1": 10, "original_x2": 11,
             "original_y2": 90},
            {"bbox_name": "spine", "original_x1": 0, "original_y1": 0, "original_x2": 9,
             "original_y2": 9},
        ],
        "attributes": [
            {"bbox_name": name, "phrases": ['A "wide" line.'], "phrase_IDs": ["2|0|0"],
             "attributes": [["device|yes|line", "nlp|yes|abnormal"]]}
            for name in ("svc", "spine")
        ],
    }  # fmt: skip
    digests = set()
    for name in ("first", "second"):
        files = [tmp_path / name / "gold_dataset" / file for file in (BOXES, PHRASES)]
        files[0].parent.mkdir(parents=True)
        tables = (TABLES["gold"], TABLES["gold_phrases"])
        for path, table, rows in zip(files, tables, gold_rows(graph, 100, 80), strict=True):
            with path.open("w", newline="") as stream:
                writer = csv.writer(stream, delimiter=table.delimiter, lineterminator="\n")
                writer.writerows([table.columns, *rows])
        digests.add(hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest())
    assert len(digests) == 1
    gold = ChestImaGenomeGold(tmp_path / "first")
    (region,) = gold.regions("a", (100, 80))
    assert (region.name, region.phrases) == ("svc", ('A "wide" line.',))
    assert region.box.x_max - region.box.x_min == pytest.approx(1 / 80)
