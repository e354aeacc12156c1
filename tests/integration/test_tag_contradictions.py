"""200 simulated DICOM files with contradictory headers: each is named with its tag, by count."""

from itertools import pairwise

import pytest

from lapse.images.film_facts import facts_of_file
from lapse.inference.checks.fact_rules import all_fact_issues
from lapse.phantom.dataset.truth import read_states
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.patients.identity import study_folder

pydicom = pytest.importorskip("pydicom")
NUM_FILES = 200
ROLES = ("reference image", "main image")
# code -> level, tag, its value in the main film
CONTRADICTIONS = {
    "patient": ("refused", "PatientID", "OTHER-1"),
    "order": ("refused", "ContentDate", "20000101"),
    "view": ("refused", "ViewPosition", "LL"),
    "view, orientation": ("refused", "PatientOrientation", ["P", "F"]),
    "body-part": ("refused", "BodyPartExamined", "HAND"),
    "modality": ("refused", "Modality", "CT"),
    "modality, unknown": ("warning", "Modality", "OT"),
    "intent": ("warning", "PresentationIntentType", "FOR PROCESSING"),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """(earlier, later) files of consecutive studies; half of the films are portable."""
    out = tmp_path_factory.mktemp("dicom") / "raw"
    config = SimulateConfig(
        patients=90, seed=19, size=64, images="dicom", visits=(2, 4), portable_fraction=0.5
    )
    simulate(out, config)
    files = {}
    for state in read_states(out):
        folder = out / "mimic-cxr" / study_folder(state.subject_id, state.study_id)
        files.setdefault(state.subject_id, []).append(folder / f"{state.dicom_id}.dcm")
    assert sum(map(len, files.values())) >= NUM_FILES
    return [pair for paths in files.values() for pair in pairwise(paths)]


def issues(first, second):
    return all_fact_issues(dict(zip(ROLES, map(facts_of_file, (first, second)), strict=True)))


def test_no_pair_of_one_patient_has_an_issue(pairs):
    num_clean = sum(issues(*pair) == [] for pair in pairs)
    print(f"pairs without an issue: {num_clean}/{len(pairs)}")
    assert num_clean == len(pairs) > 100


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_each_contradiction_is_named_in_every_pair(pairs, name, tmp_path):
    level, tag, value = CONTRADICTIONS[name]
    num_named = 0
    for number, (first, second) in enumerate(pairs):
        film = pydicom.dcmread(second)
        setattr(film, tag, value)
        if tag == "ContentDate":
            film.StudyDate = value
            for word in ("AcquisitionDate", "AcquisitionTime"):
                if word in film:
                    delattr(film, word)
        if tag == "PatientOrientation" and "ViewPosition" in film:
            film.ViewPosition = ""
        path = tmp_path / f"{number}.dcm"
        film.save_as(path, enforce_file_format=True)
        given = issues(first, path)
        codes = {(issue.code, issue.level) for issue in given}
        messages = " ".join(issue.message for issue in given)
        is_named = (name.partition(",")[0], level) in codes and tag in messages
        num_named += is_named and str(value) not in messages
    print(f"{name}: {num_named}/{len(pairs)}")
    assert num_named == len(pairs)
