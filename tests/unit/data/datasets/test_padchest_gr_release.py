"""PadChest-GR as a release: boxes, progressions and images in zips that are cut by bytes."""

import json
import shutil
import zipfile
from itertools import pairwise

import pytest

from lapse.core.registry import load
from lapse.core.types import Box, Prediction
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import find_release, with_language
from lapse.data.io.split_archive import SplitArchive
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.store.store import open_store
from lapse.metrics.progression import read_progressions
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.padchest_gr_tree import (
    PRIORS,
    REPORTS,
    write_padchest_gr_tree,
)
from lapse.phantom.dataset.padchest_tree import NAMES, study_id
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.patients.findings import level_of
from release_defects import REPORT_RELEASES

SEED = 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("gr") / "gr"
    write_padchest_gr_tree(out, SimulateConfig(patients=24, seed=SEED, size=64, visits=(2, 3)))
    return out


@pytest.fixture
def copy(tree, tmp_path):
    """A tree that may be changed."""
    return shutil.copytree(tree, tmp_path / "gr", copy_function=shutil.copy)


def studies_of(folder):
    return json.loads((folder / REPORTS).read_text("utf-8"))


def edit(folder, change):
    studies = studies_of(folder)
    change(studies)
    (folder / REPORTS).write_text(json.dumps(studies), "utf-8")


def table_of(folder):
    return PlainTable(find_release([folder]))


def pairs_of(table):
    return list(table.pairs({study.id: study for study in table.images}))


def word(old, new, name):
    before, after = (
        next((item for item in visit.findings if item.name == name), None) for visit in (old, new)
    )
    if before is None:
        return "worsening"
    if level_of(name, before.severity) == level_of(name, after.severity):
        return "stable"
    return "worsening" if after.severity > before.severity else "improving"


def test_the_round_trip_gives_the_true_progressions(tree):
    visits = {}
    for state in read_states(tree):
        visits.setdefault(state.subject_id, []).append((state.visit, state.split))
    expected = {}
    for items in visits.values():
        (old, _), (new, split) = items[-2:]
        if new.patient % 3 == 0 or split == "train":
            continue
        words = {
            item.name: word(old, new, item.name) for item in new.findings if item.name in NAMES
        }
        if words:
            key = tuple(study_id(SEED, visit.patient, visit.index) for visit in (old, new))
            expected[key] = words
    table = table_of(tree)
    pairs = pairs_of(table)
    actual = {}
    for pair in pairs:
        assert pair.category == "progression" and pair.split != "train" and pair.days is None
        actual[pair.reference.study, pair.main.study] = dict(
            part.split(": ") for part in pair.answer.split("; ")
        )
    assert actual == expected and len(expected) >= 2
    assert table.skipped.counts["progression of a training patient (evaluated only)"] >= 3


def test_phrases_and_boxes_are_those_of_the_first_reader(tree, tmp_path):
    prepare(find_release([tree]), tmp_path / "store", PrepareOptions(size=16))
    store = open_store(tmp_path / "store")
    assert store.info.intensity == "percentile" and "two readers boxed" in store.info.release
    stored = {study.study: study for study in store.studies}
    num_boxes = 0
    for item in studies_of(tree):
        study = stored[item["StudyID"]]
        sentences = " ".join(part["sentence_en"] for part in item["findings"])
        assert study.report == sentences
        for part in item["findings"]:
            for corners in part.get("boxes", ()):
                location = (*part["locations"], "basal")[0]
                name = f"finding: {part['labels'][0]}" if location == "basal" else location
                assert any(
                    region.box == Box(*corners)
                    and region.name.startswith(name)
                    and part["sentence_en"] in region.phrases
                    for region in study.regions
                )
                num_boxes += 1
    assert num_boxes > 10
    samples = {
        name: [s for study in store.studies for s in load("tasks", name)(100).samples(study)]
        for name in ("aref", "gcap", "caref")
    }
    assert len(samples["aref"]) == len(samples["gcap"]) > len(samples["caref"]) > 0
    assert not any("finding:" in sample.given for sample in samples["caref"])


def test_the_prompt_of_aref_does_not_hold_spanish_unless_it_is_chosen(tree, tmp_path):
    roots = with_language(find_release([tree]), "es")
    prepare(roots, tmp_path / "store", PrepareOptions(size=16, priors="none"))
    reports = " ".join(study.report for study in open_store(tmp_path / "store").studies)
    assert "Se observa" in reports and "There is" not in reports
    with pytest.raises(ValueError, match="no texts in 'fr': it has en, es"):
        with_language(roots, "fr")


def test_unpacked_images_are_preferred(copy):
    before = {image.id for image in table_of(copy).images}
    for archive in ("Padchest_GR_files/PadChest_GR.zip", f"{PRIORS}/{PRIORS}.zip"):
        packed = SplitArchive(copy / archive)
        for name in packed.sizes:
            target = (copy / archive).parent / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(packed.read(name))
        packed.close()
        for part in packed.parts[1:]:
            part.unlink()
    table = table_of(copy)
    assert {image.id for image in table.images} == before
    assert not any(".zip" in table.image_name(image) for image in table.images)


def test_a_missing_part_is_an_error_with_its_name(copy):
    (copy / "Padchest_GR_files" / "PadChest_GR.zip.002").unlink()
    with pytest.raises(ValueError, match="images are missing"):
        prepare(find_release([copy]), copy / "store", PrepareOptions(size=16))
    assert table_of(copy).noted.counts["archive that cannot be opened"] == 1


def test_a_prior_that_cannot_be_used_makes_no_question(copy):
    def change(studies):
        with_prior = [item for item in studies if item["PreviousImageID"]]
        for number, item in enumerate(with_prior):
            if number % 2:
                item["PreviousImageID"] = "absent.png"
            else:
                item["PreviousStudyID"] = studies[0]["StudyID"]  # another patient

    edit(copy, change)
    table = table_of(copy)
    assert not pairs_of(table)
    assert table.skipped.counts["prior that is not used (prior-missing)"]
    assert table.skipped.counts["prior that is not used (prior-two-patients)"]


def test_two_progressions_of_one_finding_and_labels_outside_are_counted(copy):
    def change(studies):
        for item in studies:
            for part in item["findings"]:
                if part["abnormal"]:
                    part["labels"] = ["nodule"]
            if item["PreviousImageID"]:
                base = {
                    "abnormal": True,
                    "boxes": [[0, 0, 1, 1]],
                    "locations": [],
                    "extra_boxes": [],
                }
                texts = {"sentence_en": "x.", "sentence_es": "y."}
                for label, kind in (
                    ("pneumonia", "improved"),
                    ("atypical pneumonia", "worsened"),
                    ("cardiomegaly", "stable"),
                    ("nodule", "stable"),
                ):
                    item["findings"].append(
                        {**texts, **base, "labels": [label], "progression": kind}
                    )

    edit(copy, change)
    table = table_of(copy)
    assert {pair.answer for pair in pairs_of(table)} == {"cardiomegaly: stable"}
    assert table.skipped.counts["finding with two different progressions"] >= 3
    assert table.skipped.counts["progression of a label outside the 30 findings"] >= 3


def test_a_study_that_the_master_table_lacks_is_counted(copy):
    def change(studies):
        studies[0]["StudyID"] = "9" * 39

    edit(copy, change)
    table = table_of(copy)
    assert table.skipped.counts["study that the master table lacks"] == 1
    assert "9" * 39 not in {image.study for image in table.images}


def test_a_patient_in_two_splits_is_refused(copy):
    REPORT_RELEASES["padchest-gr"]["patient-two-splits"](copy, 0)
    with pytest.raises(ValueError, match="1 patients in two splits"):
        table_of(copy)


def test_films_are_in_the_order_of_time_and_the_dates_of_priors_are_unknown(tree):
    table = table_of(tree)
    by_patient = {}
    for image in table.images:
        by_patient.setdefault(image.patient, []).append(image)
    for images in by_patient.values():
        assert images[-1].taken_at is not None
        assert all(before.taken_at is None for before, _ in pairwise(images))
    assert {len(images) for images in by_patient.values()} == {1, 2}


def test_answers_are_scored_as_those_of_ms_cxr_t(tree):
    (first, *_) = pairs_of(table_of(tree))
    item = Prediction("1", "progression", "nothing has changed.", (first.answer,))
    words = dict(part.split(": ") for part in first.answer.split("; "))
    assert dict(read_progressions(item)) == words


def test_a_packed_table_is_not_an_archive_of_images(tree):
    with zipfile.ZipFile(tree / "master_table.csv.zip") as archive:
        assert archive.namelist() == ["master_table.csv"]
    assert not table_of(tree).noted.counts["archive that cannot be opened"]
