"""PadChest as a release: pairs, their obstacles, splits, and the round trip from the phantom."""

import ast
import csv
import gzip
import json
from itertools import pairwise

import pytest

from lapse.core.changes import Change
from lapse.core.grammar import parse
from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.padchest import read_padchest
from lapse.data.datasets.padchest_labels import INCOMPLETE
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import default_intensity, find_release, with_label_map
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.padchest_tree import NAMES, OUTSIDE, TABLE, write_padchest_tree
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.patients.findings import levels

PATIENT, OTHER = "1" * 38, "2" * 38


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("padchest") / "padchest"
    write_padchest_tree(out, SimulateConfig(patients=16, seed=4, size=64, visits=(3, 4)))
    return out


def film(study, date, labels, **changes):
    return {
        "ImageID": f"{study}.png",
        "ImageDir": "0",
        "StudyDate_DICOM": date,
        "StudyID": f"{study:0>39}",
        "PatientID": PATIENT,
        "Projection": "PA",
        "MethodLabel": "Physician",
        "Labels": str(labels),
    } | changes


def write(folder, *rows):
    path = folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return find_release([folder])


def pairs_of(roots):
    table = PlainTable(roots)
    pairs = table.pairs({study.id: study for study in table.images})
    found = {
        (pair.reference.study[-1], pair.main.study[-1]): parse(pair.answer).changes
        for pair in pairs
    }
    return found, " ".join(table.skipped.counts)


def test_the_round_trip_from_the_phantom_gives_the_true_changes(tree, tmp_path):
    """An independent reading of the table says which pairs there are, the states what changed."""
    prepare(find_release([tree]), tmp_path / "store", PrepareOptions(size=16))
    store = open_store(tmp_path / "store")
    assert store.info.intensity == "percentile" and store.info.labels.time == "dates"
    answers = {
        (pair.reference.study, pair.main.study): parse(pair.answer).changes for pair in store.pairs
    }
    states = {}
    for state in read_states(tree):
        states.setdefault(state.subject_id, []).append(state.visit)
    with gzip.open(tree / TABLE, "rt", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["Projection"] != "L"]
    visits = [visit for patient in states.values() for visit in patient]
    assert len(visits) == len(rows)
    expected, days = {}, {}
    for row in rows:
        days.setdefault((row["PatientID"], row["StudyDate_DICOM"]), []).append(row["StudyID"])
    for (before, old), (row, new) in pairwise(zip(rows, visits, strict=True)):
        if before["PatientID"] != row["PatientID"]:
            continue
        names = [
            None
            if item["Labels"] == "nan"
            else {n.strip() for n in ast.literal_eval(item["Labels"])}
            for item in (before, row)
        ]
        if None in names or {"unchanged"} & set().union(*names):
            continue
        outside = [set(OUTSIDE.values()) & item for item in names]
        is_tied = any(
            len(days[item["PatientID"], item["StudyDate_DICOM"]]) > 1 for item in (before, row)
        )
        if before["MethodLabel"] != row["MethodLabel"] or outside[0] != outside[1] or is_tied:
            continue
        first, second = (set(levels(visit)) & set(NAMES) for visit in (old, new))
        changes = {Change(name, "added") for name in second - first}
        changes |= {Change(name, "missing") for name in first - second}
        expected[before["StudyID"], row["StudyID"]] = changes
    assert len(expected) > 8 and any(expected.values())
    assert answers == expected
    assert all(pair.days > 0 for pair in store.pairs)
    assert all(
        study.patient.startswith("padchest:") and not study.report for study in store.studies
    )


def test_pairs_are_made_of_reports_that_one_method_labelled(tmp_path):
    roots = write(
        tmp_path,
        film("1", "20100101", ["cardiomegaly"]),
        film("2", "20110101", ["cardiomegaly", "infiltrates"]),
        film("3", "20120101", ["cardiomegaly"], MethodLabel="RNN_model"),
    )
    pairs, skipped = pairs_of(roots)
    assert pairs == {("1", "2"): {Change("lung opacity", "added")}}
    assert "labelled by different methods" in skipped


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["cardiomegaly", "nodule"], "a finding outside the 30 differs"),
        (["unchanged"], "the main study is not labelled"),
        (["exclude", "cardiomegaly"], "the main study is not labelled"),
        ([""], "the main study is not labelled"),
        ("nan", "the main study is not labelled"),
    ],
)
def test_a_report_that_does_not_say_all_makes_no_pair(labels, reason, tmp_path):
    roots = write(tmp_path, film("1", "20100101", ["cardiomegaly"]), film("2", "20110101", labels))
    pairs, skipped = pairs_of(roots)
    assert not pairs and reason in skipped


def test_two_studies_on_one_day_make_no_pair(tmp_path):
    roots = write(
        tmp_path,
        film("1", "20100101", ["normal"]),
        film("2", "20110101", ["normal"]),
        film("3", "20110101", ["normal"]),
        film("4", "20110101", ["normal"], PatientID=OTHER),
        film("5", "20120101", ["normal"], PatientID=OTHER),
    )
    pairs, skipped = pairs_of(roots)
    assert pairs == {("4", "5"): frozenset()} and "at one time" in skipped


def test_lateral_films_and_studies_of_two_patients_are_counted(tmp_path):
    roots = write(
        tmp_path,
        film("1", "20100101", ["normal"], Projection="AP_horizontal"),
        film("2", "20110101", ["normal"], Projection="L"),
        film("3", "20120101", ["normal"]),
        film("3", "20120101", ["normal"], PatientID=OTHER, ImageID="x.png"),
    )
    table = PlainTable(roots)
    assert [(image.study[-1], image.view) for image in table.images] == [("1", "AP")]
    assert table.skipped.counts["image of a study of two patients"] == 2
    assert table.skipped.counts["image that is neither PA nor AP"] == 1


def test_an_unknown_label_is_an_error_and_a_known_one_can_be_mapped(tmp_path):
    roots = write(
        tmp_path,
        film("1", "20100101", ["normal"]),
        film("2", "20110101", ["pulmonary mass"]),
    )
    assert pairs_of(roots)[0] == {}
    mapped = with_label_map(roots, ["pulmonary mass=lung opacity"])
    assert pairs_of(mapped)[0] == {("1", "2"): {Change("lung opacity", "added")}}
    with pytest.raises(ValueError, match=r"row 2.*label 'pleural efusion' is not known"):
        pairs_of(write(tmp_path, film("1", "20100101", ["pleural efusion"])))


def test_the_patients_of_padchest_gr_keep_its_split(tmp_path):
    rows = [film(str(n), "20100101", ["normal"], PatientID=str(n) * 38) for n in range(1, 9)]
    write(tmp_path, *rows)
    (tmp_path / "master_table.csv").write_text(
        "StudyID,ImageID,PatientID,split,StudyDate_DICOM,PatientSex_DICOM\n"
        f"{'5' * 39},a.png,{'3' * 38},test,20100101,F\n"
        f"{'6' * 39},b.png,{'4' * 38},validation,20100101,F\n"
    )
    table = PlainTable(find_release([tmp_path]))
    assert table.splits[f"padchest:{'3' * 38}"] == "test"
    assert table.splits[f"padchest:{'4' * 38}"] == "validate"
    assert "those of PadChest-GR for its patients" in table.notes[0]


def test_a_table_next_to_grounded_reports_is_that_of_padchest_gr(tmp_path):
    roots = write(tmp_path, film("1", "20100101", ["normal"]))
    assert roots.name == "padchest" and default_intensity(roots) == "percentile"
    (tmp_path / "grounded_reports_20240819.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="not found under"):
        from lapse.data.datasets.discovery import find_roots

        find_roots([tmp_path])
    assert find_release([tmp_path]) is None
    (tmp_path / "master_table.csv").touch()
    assert find_release([tmp_path]).name == "padchest-gr"


def test_incomplete_reports_are_among_the_names_outside(tree):
    rows = list(read_padchest(tree / TABLE))
    assert any(row.labels and not row.is_comparable for row in rows)
    assert {"unchanged", "exclude"} == INCOMPLETE
    assert isinstance(find_release([tree]), ReleaseRoots)
