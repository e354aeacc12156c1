"""CheXpert Plus and ReXGradient-160K as releases: captions, no difference question."""

import csv
import json
import shutil

import pytest

from lapse.core.registry import load
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import find_release
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.phantom.dataset.chexpert_plus_tree import TABLE, write_chexpert_plus_tree
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.rexgradient_tree import write_rexgradient_tree
from lapse.phantom.dataset.truth import read_states
from report_findings import extract_findings

CONFIG = SimulateConfig(patients=10, seed=6, size=64, visits=(2, 4))


@pytest.fixture(scope="module")
def chexpert(tmp_path_factory):
    out = tmp_path_factory.mktemp("chexpert") / "chexpert"
    write_chexpert_plus_tree(out, CONFIG)
    return out


@pytest.fixture(scope="module")
def rexgradient(tmp_path_factory):
    out = tmp_path_factory.mktemp("rex") / "rex"
    write_rexgradient_tree(out, CONFIG)
    return out


def states_by_patient(tree):
    visits = {}
    for state in read_states(tree):
        visits.setdefault(state.visit.patient, []).append(state)
    return visits


def test_the_captions_of_chexpert_state_the_findings_without_priors(chexpert, tmp_path):
    prepare(find_release([chexpert]), tmp_path / "store", PrepareOptions(size=16))
    store = open_store(tmp_path / "store")
    studies = {study.study: study for study in store.studies}
    states = states_by_patient(chexpert)
    num_states = 0
    for patient, items in states.items():
        for state in items:
            study = studies[f"patient{patient + 1:05d}-study{state.visit.index + 1}"]
            truth = {finding.name for finding in state.visit.findings}
            assert extract_findings(study.report) == truth, study.report
            assert "Compared to" not in study.report
            assert study.split == ("train" if state.split == "train" else "validate")
            assert study.view == state.acquisition.view and study.taken_at is None
            num_states += 1
    assert num_states == len(store.studies) and not len(store.pairs)
    assert "contested" in store.info.labels.remark
    cap = load("tasks", "cap")(100)
    assert sum(1 for study in store.studies for _ in cap.samples(study)) == num_states


def test_the_first_frontal_image_of_a_chexpert_study_is_used(chexpert):
    table = PlainTable(find_release([chexpert]))
    names = [table.image_name(image) for image in table.images]
    assert all(name.endswith("view1_frontal.png") for name in names)
    assert table.skipped.counts["further frontal image of a study"] > 0
    assert table.skipped.counts["image that is neither PA nor AP"] > 0


def test_a_chexpert_patient_in_two_splits_is_refused(chexpert, tmp_path):
    with (chexpert / TABLE).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row["path_to_image"].startswith("train/patient00001/study2/"):
            row["split"] = "valid"
    with (tmp_path / TABLE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ValueError, match="1 patients in two splits, such as patient00001"):
        PlainTable(find_release([tmp_path]))


def test_chexpert_images_are_found_in_their_folder_under_any_ending(chexpert, tmp_path):
    shutil.copy(chexpert / TABLE, tmp_path)
    shutil.copytree(chexpert / "PNG", tmp_path, dirs_exist_ok=True)
    first = next((tmp_path / "train").rglob("view1_frontal.png"))
    first.rename(first.with_suffix(".jpg"))
    table = PlainTable(find_release([tmp_path]))
    assert all(table.image_path(image).is_file() for image in table.images)


def test_pairs_of_rexgradient_have_no_answers(rexgradient, tmp_path):
    report = prepare(find_release([rexgradient]), tmp_path / "store", PrepareOptions(size=16))
    store = open_store(tmp_path / "store")
    assert not len(store.pairs) and store.info.labels.time == "order"
    with (tmp_path / "store" / "pairs-to-answer.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows and report.read["pairs without an answer"] == len(rows)
    dates, frontal = {}, {}
    for part in ("train", "valid", "test"):
        path = rexgradient / "metadata" / f"{part}_metadata_view_position.json"
        for item in json.loads(path.read_text("utf-8")).values():
            words = dict(zip(item["ImagePath"], item["ImageViewPosition"], strict=False))
            for image, view in words.items():
                if view in {"PA", "AP", "POSTERO_ANTERIOR"}:
                    dates[image[3:]] = item["StudyDate"]
                    frontal.setdefault(item["PatientID"], []).append(item["StudyDate"])
    for row in rows:
        images = [row[name].partition("/rex/")[2] for name in ("reference", "main")]
        assert dates[images[0]] < dates[images[1]]
    assert len(rows) == sum(len(items) - 1 for items in frontal.values())


def test_the_captions_of_rexgradient_state_the_findings(rexgradient, tmp_path):
    prepare(find_release([rexgradient]), tmp_path / "store", PrepareOptions(size=16))
    store = open_store(tmp_path / "store")
    states = states_by_patient(rexgradient)
    truths = {
        frozenset(finding.name for finding in state.visit.findings)
        for items in states.values()
        for state in items
    }
    assert {frozenset(extract_findings(study.report)) for study in store.studies} <= truths
    assert {study.split for study in store.studies} == {"train", "validate", "test"}
    assert not any("None" in study.report for study in store.studies)


def test_a_missing_part_and_a_patient_in_two_parts(rexgradient, tmp_path):
    folder = tmp_path / "metadata"
    shutil.copytree(rexgradient / "metadata", folder)
    (folder / "train_metadata_view_position.json").unlink()
    table = PlainTable(find_release([tmp_path]))
    assert set(table.splits.values()) == {"validate", "test"}
    path = folder / "test_metadata_view_position.json"
    studies = json.loads(path.read_text("utf-8"))
    other = json.loads((folder / "valid_metadata_view_position.json").read_text("utf-8"))
    next(iter(studies.values()))["PatientID"] = next(iter(other.values()))["PatientID"]
    path.write_text(json.dumps(studies), "utf-8")
    with pytest.raises(ValueError, match="1 patients in two splits"):
        PlainTable(find_release([tmp_path]))


def test_studies_without_a_date_or_on_one_date_are_in_no_pair(rexgradient, tmp_path):
    shutil.copytree(rexgradient / "metadata", tmp_path / "metadata")
    for path in (tmp_path / "metadata").iterdir():
        studies = json.loads(path.read_text("utf-8"))
        for number, item in enumerate(studies.values()):
            item["StudyDate"] = 20200101 if number % 2 else None
        path.write_text(json.dumps(studies), "utf-8")
    table = PlainTable(find_release([tmp_path]))
    assert not list(table.unanswered({image.id: image for image in table.images}))
    assert table.noted.counts["study without a date (in no pair)"] > 3
