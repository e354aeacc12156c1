"""The truth folder: it gives back the state, draws the image again, and no loader reads it."""

import csv
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from lapse.core.grammar import QUESTION_CHANGED, parse
from lapse.data.datasets.discovery import find_roots
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.verify.verify import verify
from lapse.phantom.dataset.patient_files import JPEG_QUALITY
from lapse.phantom.dataset.truth import read_states, rerender
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.identity import study_folder
from lapse.phantom.text.report import extract_findings

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


def test_pairs_say_what_was_asked_and_how_many_changes_there_are(tree):
    out, states = tree
    by_study = {state.study_id: state for state in states}
    with (out / "phantom" / "pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    with (out / "medical-diff-vqa" / "mimic_pair_questions.csv").open() as file:
        asked = {
            (row["study_id"], row["ref_id"]): row["answer"]
            for row in csv.DictReader(file)
            if row["question"] == QUESTION_CHANGED
        }
    assert [(row["study_id"], row["ref_id"]) for row in pairs] == list(asked)
    for row in pairs:
        main, reference = by_study[int(row["study_id"])], by_study[int(row["ref_id"])]
        changes = difference(reference.visit, main.visit)
        assert changes == parse(asked[row["study_id"], row["ref_id"]]).changes
        assert int(row["num_changes"]) == len(changes) >= int(row["num_fine_changes"])
        assert row["tier"] == main.tier and (row["quad"] == "") == (main.quad == "")
        assert row["split"] == main.split
    assert {row["quad"] for row in pairs} == {"", "nuisance", "state", "both"}


def test_a_state_is_drawn_again_to_the_byte(tree):
    out, states = tree
    for state in states[:6]:
        again = io.BytesIO()
        Image.fromarray(rerender(state)).save(again, "JPEG", quality=JPEG_QUALITY)
        folder = out / "mimic-cxr-jpg" / study_folder(state.subject_id, state.study_id)
        assert again.getvalue() == (folder / f"{state.dicom_id}.jpg").read_bytes()


def test_another_acquisition_is_another_image_of_any_size(tree):
    state = tree[1][0]
    one, two = rerender(state, 1), rerender(state, 2)
    assert one.shape != two.shape or np.abs(one.astype(int) - two).mean() > 3
    assert np.array_equal(one, rerender(state, 1))
    assert max(rerender(state, 1, size=64).shape) == 64


def test_the_states_of_a_quad_differ_where_the_finding_is_and_nowhere_else(tree):
    by_place = {state.quad: state for state in tree[1] if state.quad}
    one, two = by_place["A1"], by_place["B1"]
    assert one.acquisition == two.acquisition and one.subject_id == two.subject_id
    assert rerender(one).shape == rerender(two).shape


def test_verify_and_prepare_do_not_look_at_the_truth(tree, tmp_path):
    out, _ = tree
    blind = tmp_path / "blind"
    shutil.copytree(out, blind)
    shutil.rmtree(blind / "phantom")
    reports = [verify(find_roots([root])) for root in (out, blind)]
    assert reports[0].exit_code == 0
    assert [line for line in reports[0].lines() if str(out) not in line] == [
        line for line in reports[1].lines() if str(blind) not in line
    ]
    stores = []
    for name, root in (("with", out), ("without", blind)):
        store = tmp_path / name
        prepare(find_roots([root]), store, PrepareOptions(size=32, workers=0))
        stores.append({p.name: p.read_bytes() for p in sorted(store.glob("*")) if p.is_file()})
    assert stores[0].keys() == stores[1].keys()
    for name, data in stores[0].items():
        if not name.endswith(".json"):
            assert data == stores[1][name], name


def test_a_folder_without_truth_and_a_damaged_line_are_refused(tree, tmp_path):
    with pytest.raises(ValueError, match="has no phantom"):
        read_states(tmp_path)
    (tmp_path / "states.jsonl").write_text('{"subject_id": 1}\n')
    with pytest.raises(ValueError, match=r"line 1 is not the state of a study"):
        list(read_states(tmp_path))
