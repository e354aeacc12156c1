"""MS-CXR-T: rows become pairs, their images are kept, their patients are test patients."""

from itertools import pairwise

import pytest

import tiny_tree
from lapse.core.registry import load
from lapse.core.types import Prediction
from lapse.data.datasets.ms_cxr_t import FINDINGS, MsCxrT
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.evaluation.blind_baselines import blind_baselines
from lapse.evaluation.evaluate import evaluate
from lapse.metrics.progression import progression_of
from lapse.phantom.dataset.ms_cxr_t import progression_rows
from lapse.phantom.patients.findings import difference, draw_visits
from lapse.phantom.patients.identity import dicom_name

TABLE = "MS_CXR_T_temporal_image_classification_v1.0.0.csv"
HEADER = [
    *("dicom_id", "subject_id", "study_id", "previous_dicom_id", "previous_study_id"),
    *(f"{finding}_{kind}" for finding in FINDINGS for kind in ("progression", "label_quality")),
]


def row(number, **changes):
    folder = f"p19/p{tiny_tree.patient(number)}/s{tiny_tree.study(number, 2)}"
    values = dict.fromkeys(HEADER, "")
    values |= {
        "dicom_id": f"{folder}/{tiny_tree.dicom(number, 2)}",
        "previous_dicom_id": f"x/{tiny_tree.dicom(number, 1)}",
        "subject_id": tiny_tree.patient(number),
        "edema_progression": "worsening",
        "pleural_effusion_progression": "stable",
    }
    return values | changes


def write(root, rows):
    tiny_tree.write_csv(root / "ms-cxr-t" / TABLE, HEADER, rows)


@pytest.fixture
def tree(tmp_path):
    return tiny_tree.write_tree(tmp_path / "tree")


def test_rows_become_test_pairs_of_test_patients(tree, tmp_path):
    before = prepare(find_roots([tree]), tmp_path / "without", PrepareOptions(16))
    write(tree, [row(1)])
    roots = find_roots([tree])
    assert roots.ms_cxr_t == tree / "ms-cxr-t"
    report = prepare(roots, tmp_path / "store", PrepareOptions(16))
    store = open_store(tmp_path / "store")
    (pair,) = store.pairs_of("test", "progression")
    assert pair.answer == "edema: worsening; pleural effusion: stable"
    assert pair.main.image == tiny_tree.dicom(1, 2)
    assert pair.reference.image == tiny_tree.dicom(1, 1)
    moved = {study.split for study in store.studies if study.patient == str(tiny_tree.patient(1))}
    assert moved == {"test"}
    assert report.protocol_hash != before.protocol_hash
    assert "ms-cxr-t 1.0.0" in store.info.release
    (sample,) = load("tasks", "progression")(16).samples(pair)
    predictions = Prediction(sample.id, sample.task, "nothing has changed.", (sample.answer,))
    assert evaluate([predictions])["progression"]["accuracy"].value == 0.5
    (blind,) = blind_baselines(store, [predictions])["constant answer"]
    assert blind.prediction == "nothing has changed."


def test_an_image_that_is_not_its_studys_first_is_kept(tree, tmp_path):
    import csv
    import gzip

    table = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    with gzip.open(table, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows.append(tiny_tree.metadata_row(1, 2, dicom_id="second", ViewPosition="AP"))
    tiny_tree.write_csv(table, tiny_tree.METADATA, rows)
    splits = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz"
    header = ["dicom_id", "study_id", "subject_id", "split"]
    listed = [{**{key: item[key] for key in header[:3]}, "split": "train"} for item in rows]
    tiny_tree.write_csv(splits, header, listed)
    tiny_tree.write_jpg(tiny_tree.image_file(tree, 1, 2).with_name("second.jpg"), 5)
    write(tree, [row(1, dicom_id="p19/p1/s1/second")])
    prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    store = open_store(tmp_path / "store")
    (pair,) = store.pairs_of("test", "progression")
    assert pair.main.image == "second"
    others = [item for item in store.pairs if item.category != "progression"]
    assert "second" not in {item.main.image for item in others}


def test_reversed_and_repeated_rows_are_skipped(tree):
    ahead = row(2)
    ahead["dicom_id"], ahead["previous_dicom_id"] = ahead["previous_dicom_id"], ahead["dicom_id"]
    write(tree, [row(1), row(1), ahead])
    from lapse.data.datasets.mimic_cxr import MimicCxr

    studies = {study.id: study for study in MimicCxr(tree / "mimic-cxr-jpg").read()}
    data = MsCxrT(tree / "ms-cxr-t")
    assert len(list(data.pairs(studies))) == 1
    assert data.skipped.counts == {
        "row with the two images of an earlier row": 1,
        "row whose image is earlier than the previous one": 1,
    }


def test_the_phantoms_progressions_are_true_to_its_states():
    """The metric reads the progressions of the row, and no others, from the true answer."""
    words = []
    for patient in range(300):
        visits = draw_visits(5, patient, 3, age=40 + patient % 40)
        rows = {row[0]: row for row in progression_rows(visits, "test", 5)}
        assert not progression_rows(visits, "train", 5)
        for before, after in pairwise(visits):
            seen = {item.name for visit in (before, after) for item in visit.findings}
            names = [finding.replace("_", " ") for finding in FINDINGS]
            row = next((row for row in rows.values() if dicom_name(5, patient, after.index) in
                        row[0]), None)  # fmt: skip
            assert (row is None) is not (seen & set(names) != set())
            if row is None:
                continue
            assert dicom_name(5, patient, before.index) in row[3]
            for name, word in zip(names, row[5::2], strict=True):
                expected = progression_of(difference(before, after), name) if name in seen else ""
                assert word == expected
                words.append(word)
    assert min(words.count(word) for word in ("improving", "stable", "worsening")) > 20


def test_rows_that_cannot_be_used_are_counted(tree):
    rows = [
        row(1, dicom_id="nowhere"),
        row(2, subject_id=tiny_tree.patient(3)),
        row(3, edema_progression="", pleural_effusion_progression=""),
        row(4, edema_progression="vanished"),
    ]
    write(tree, rows)
    from lapse.data.datasets.mimic_cxr import MimicCxr

    studies = {study.id: study for study in MimicCxr(tree / "mimic-cxr-jpg").read()}
    data = MsCxrT(tree / "ms-cxr-t")
    (pair,) = data.pairs(studies)
    assert pair.answer == "pleural effusion: stable"
    assert data.skipped.counts == {
        "row whose main image is not stored": 1,
        "row that joins images of different patients": 1,
        "row without a progression": 1,
        "progression with an unknown word": 1,
    }
    with pytest.raises(ValueError, match="give the folder of MS-CXR-T"):
        MsCxrT(tree)
