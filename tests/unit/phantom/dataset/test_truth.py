"""The ground truth: states that can be rendered again, in a folder that no loader reads."""

import csv
import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lapse.core.changes import QUESTION_CHANGED
from lapse.core.grammar import parse
from lapse.data.datasets.discovery import find_roots
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.verify.verify import verify
from lapse.images.film_facts import facts_of_file
from lapse.inference.checks.fact_rules import film_issues
from lapse.phantom.dataset.patient_files import JPEG_QUALITY
from lapse.phantom.dataset.truth import read_states, rerender
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.identity import study_folder
from report_findings import extract_findings

CONFIG = SimulateConfig(
    patients=20,
    seed=8,
    size=96,
    visits=(2, 2),
    tier="mixed",
    counterfactual_fraction=0.34,
    ood_fraction=0,
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("truth") / "raw"
    simulate(out, CONFIG)
    return out, list(read_states(out))


def test_states_name_every_study_and_agree_with_its_report(tree):
    out, states = tree
    reports = sorted(path.stem for path in (out / "mimic-cxr").rglob("s*.txt"))
    assert reports == sorted(f"s{state.study_id}" for state in states)
    for state in states:
        path = out / "mimic-cxr" / f"{study_folder(state.subject_id, state.study_id)}.txt"
        assert extract_findings(path.read_text()) == {item.name for item in state.visit.findings}
    assert {state.tier for state in states} == {"coarse", "fine"}
    assert {state.quad for state in states} == {"", "A1", "A2", "B1", "B2"}
    assert list(read_states(out / "phantom")) == states


def test_pairs_list_the_questions_and_the_number_of_changes(tree):
    out, states = tree
    by_study = {state.study_id: state for state in states}
    with (out / "phantom" / "pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    with (out / "medical-diff-vqa" / "mimic_pair_questions.csv").open() as file:
        answers = {
            (row["study_id"], row["ref_id"]): row["answer"]
            for row in csv.DictReader(file)
            if row["question"] == QUESTION_CHANGED
        }
    assert [(row["study_id"], row["ref_id"]) for row in pairs] == list(answers)
    for row in pairs:
        main, reference = by_study[int(row["study_id"])], by_study[int(row["ref_id"])]
        changes = difference(reference.visit, main.visit)
        assert changes == parse(answers[row["study_id"], row["ref_id"]]).changes
        assert int(row["num_changes"]) == len(changes) >= int(row["num_fine_changes"])
        assert row["tier"] == main.tier and (row["quad"] == "") == (main.quad == "")
        assert row["split"] == main.split
    assert {row["quad"] for row in pairs} == {"", "nuisance", "state", "both"}


def test_rerender_gives_equal_bytes(tree):
    out, states = tree
    for state in states[:6]:
        stream = io.BytesIO()
        Image.fromarray(rerender(state)).save(stream, "JPEG", quality=JPEG_QUALITY)
        folder = out / "mimic-cxr-jpg" / study_folder(state.subject_id, state.study_id)
        assert stream.getvalue() == (folder / f"{state.dicom_id}.jpg").read_bytes()


def test_another_acquisition_gives_another_image_of_any_size(tree):
    state = tree[1][0]
    first, second = rerender(state, 1), rerender(state, 2)
    assert first.shape != second.shape or np.abs(first.astype(int) - second).mean() > 3
    assert np.array_equal(first, rerender(state, 1))
    assert max(rerender(state, 1, size=64).shape) == 64


def test_the_states_of_a_quadruplet_differ_in_the_image_of_one_acquisition(tree):
    by_cell = {state.quad: state for state in tree[1] if state.quad}
    first, second = by_cell["A1"], by_cell["B1"]
    assert first.acquisition == second.acquisition and first.subject_id == second.subject_id
    images = [rerender(state) for state in (first, second)]
    assert images[0].shape == images[1].shape and (images[0] != images[1]).any()


def test_portable_states_are_rendered_again_and_others_do_not_mention_them(tree, tmp_path):
    lines = (tree[0] / "phantom" / "states.jsonl").read_text()
    assert '"portable":' not in lines and '"anatomy"' not in lines
    pydicom = pytest.importorskip("pydicom")
    options = {"patients": 5, "visits": (2, 2), "portable_fraction": 0.6, "images": "both"}
    options["anatomy"] = "detailed"
    simulate(tmp_path / "raw", replace(CONFIG, **options))
    states = list(read_states(tmp_path / "raw"))
    portable = [state for state in states if state.acquisition.portable is not None]
    assert 0 < len(portable) < len(states)
    for state in (portable[0], states[0]):
        folder = tmp_path / "raw" / "mimic-cxr" / study_folder(state.subject_id, state.study_id)
        file = pydicom.dcmread(folder / f"{state.dicom_id}.dcm")
        is_bedside = state.acquisition.portable is not None
        assert (file.get("Grid") == "NONE") == is_bedside
        assert file.ViewPosition == state.acquisition.view
        if is_bedside:
            assert float(file.KVP) == round(state.acquisition.kilovolts)
            assert list(film_issues("film", facts_of_file(folder / f"{state.dicom_id}.dcm"))) == []
        assert rerender(state).shape == file.pixel_array.shape
    plain = rerender(replace(states[0], anatomy="plain"))
    assert not np.array_equal(plain, rerender(states[0]))
    other = rerender(portable[0], acquisition_seed=3)
    assert np.array_equal(other, rerender(portable[0], acquisition_seed=3))


def test_verify_and_prepare_do_not_read_the_ground_truth(tree, tmp_path):
    out, _ = tree
    without_truth = tmp_path / "raw"
    shutil.copytree(out, without_truth)
    shutil.rmtree(without_truth / "phantom")
    reports = [verify(find_roots([root])) for root in (out, without_truth)]
    assert reports[0].exit_code == 0
    assert [line for line in reports[0].lines() if str(out) not in line] == [
        line for line in reports[1].lines() if str(without_truth) not in line
    ]
    stores = []
    for name, root in (("with", out), ("without", without_truth)):
        store = tmp_path / name
        prepare(find_roots([root]), store, PrepareOptions(size=32, workers=0))
        stores.append({p.name: p.read_bytes() for p in sorted(store.glob("*")) if p.is_file()})
    assert stores[0].keys() == stores[1].keys()
    for name, data in stores[0].items():
        if not name.endswith(".json"):
            assert data == stores[1][name], name


def test_a_folder_without_ground_truth_and_a_damaged_line_are_rejected(tree, tmp_path):
    with pytest.raises(ValueError, match="has no phantom"):
        read_states(tmp_path)
    (tmp_path / "states.jsonl").write_text('{"subject_id": 1}\n')
    with pytest.raises(ValueError, match=r"line 1 is not the state of a study"):
        list(read_states(tmp_path))
