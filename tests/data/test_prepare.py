"""prepare: four raw trees -> one store without a leak, with everything counted."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_tree
from PIL import Image

from lapse.data import prepare as prepare_module
from lapse.data.prepare import find_roots, prepare
from lapse.data.store import open_store
from lapse.data.tables import plain_id


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return tiny_tree.write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "store"
    report = prepare(find_roots([tree]), out, size=32)
    return report, open_store(out)


def test_the_four_trees_are_found(tree):
    roots = find_roots([tree])
    assert roots.mimic_cxr_jpg == tree / "mimic-cxr-jpg"
    assert roots.reports == tree / "mimic-cxr"
    assert roots.chest_imagenome == tree / "chest-imagenome"
    assert roots.medical_diff_vqa == tree / "medical-diff-vqa"
    assert find_roots([tree / name for name in ("mimic-cxr", "mimic-cxr-jpg", "chest-imagenome",
                                                "medical-diff-vqa")]) == roots  # fmt: skip


def test_a_missing_tree_is_described(tree):
    with pytest.raises(ValueError, match=r"mimic_pair_questions\.csv") as caught:
        find_roots([tree / "mimic-cxr", tree / "mimic-cxr-jpg"])
    assert "scene_graph.zip" in str(caught.value) and "metadata" not in str(caught.value)
    with pytest.raises(ValueError, match="no folder"):
        find_roots([tree / "nowhere"])


def test_a_tree_that_stands_there_twice_is_refused(tree, tmp_path):
    tiny_tree.write_questions(tmp_path, tiny_tree.question_rows())
    with pytest.raises(ValueError, match=r"Medical-Diff-VQA stands there twice"):
        find_roots([tree, tmp_path])


def test_each_patient_has_one_split(made):
    _, store = made
    number = {str(tiny_tree.patient(n)): n for n in tiny_tree.PATIENTS}
    assert len(store.studies) == 12
    for study in store.studies:
        assert study.split == tiny_tree.SAFE[number[study.patient]]
    for pair in store.pairs:
        assert pair.split == tiny_tree.SAFE[number[pair.main.patient]]
        assert pair.main.taken_at > pair.reference.taken_at
    # patient 4 is evaluated by ImaGenome, so its two training questions go
    assert len(store.pairs) == 10
    assert number[store.pairs_of("validate")[0].main.patient] == 5


def test_records_are_complete(made):
    _, store = made
    study = store.studies[0]
    assert study.id == study.image == tiny_tree.dicom(1, 1)
    assert study.study == str(tiny_tree.study(1, 1)) and study.view == "PA"
    assert study.taken_at.isoformat() == "2180-05-01T09:30:14.531000"
    assert study.report == "There is a nodule of 2.5 cm. No edema. No pneumothorax."
    assert [region.name for region in study.regions] == ["right lung", "carina", "right arm"]
    lung = study.region("right lung")
    assert lung.phrases == ("There is a nodule of 2.5 cm.", "No edema.")
    box = lung.box
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (0.1, 0.1, 0.5, 0.75)
    assert study.region("carina").phrases == () and study.region("right arm").box is None


def test_pixels_are_those_of_the_image(made, tree):
    _, store = made
    for study in store.studies:
        path = next((tree / "mimic-cxr-jpg").rglob(f"{study.image}.jpg"))
        with Image.open(path) as opened:
            full = opened.resize((32, 32), Image.Resampling.BICUBIC)
        pixels = store.pixels(study.image)
        assert pixels.shape == (32, 32) and pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - np.asarray(full).astype(int)).max() <= 8


def test_the_report_counts_everything(made):
    report, store = made
    assert report.read == {"images": 24, "questions": 12}
    assert report.kept["studies/train"] == 4 and report.kept["studies/test"] == 6
    assert report.leaked_patients == 4
    assert report.skipped.counts["mimic_cxr: image that is neither PA nor AP"] == 12
    assert report.skipped.counts["splits: train question of a patient who is in test"] == 2
    assert report.noted.counts["priors: sentence or clause removed"] == 12
    text = "\n".join(report.lines())
    assert "4 patients" in text and "patient-safe" in text and store.info.protocol_hash in text
    assert "medical-diff-vqa 1.0.1" in store.info.release
    images = len(store.studies) + sum(
        count for reason, count in report.skipped.counts.items() if "image" in reason.split(":")[1]
        and reason.startswith("mimic_cxr")
    )  # fmt: skip
    assert images == report.read["images"]


def test_published_keeps_the_words_and_counts_the_leak(tree, tmp_path):
    report = prepare(find_roots([tree]), tmp_path / "store", size=16, protocol="published")
    store = open_store(tmp_path / "store")
    assert report.leaked_patients == 4 and "LEAKED" in "\n".join(report.lines())
    words = {int(study.patient) - 19000000: study.split for study in store.studies}
    assert words == tiny_tree.IMAGENOME
    assert len(store.pairs) == 12 and len(store.pairs_of("test")) == 4


def test_a_leak_in_what_is_written_is_refused(tree, tmp_path, monkeypatch):
    """Sabotage twin: with an assignment that leaks, only the guard stands before the store."""

    def careless(words):
        return dict.fromkeys(dict(words), "train")

    monkeypatch.setattr(prepare_module, "assign_patients", careless)
    real = prepare_module._Run._finish_study

    def padded(run, study):
        finished = real(run, study)
        if plain_id(study.patient) == str(tiny_tree.patient(1)) and study.study.endswith("1"):
            return replace(finished, patient=f"0{study.patient}", split="test")
        return finished

    monkeypatch.setattr(prepare_module._Run, "_finish_study", padded)
    with pytest.raises(ValueError, match=r"leak .*patient: 1 \(for example 19000001\)"):
        prepare(find_roots([tree]), tmp_path / "store", size=16)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(prepare_module, "_refuse_leak", lambda store: None)
    prepare(find_roots([tree]), tmp_path / "store", size=16)
    assert (tmp_path / "store").is_dir()


def test_an_unreadable_image_is_listed_and_its_pairs_go(tmp_path):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    broken = tiny_tree.image_file(tree, 1, 2)
    broken.write_bytes(broken.read_bytes()[:600])
    tiny_tree.image_file(tree, 2, 1).unlink()
    report = prepare(find_roots([tree]), tmp_path / "store", size=16, workers=2)
    assert report.skipped.counts["mimic_cxr: unreadable image"] == 2
    examples = report.skipped.examples["mimic_cxr: unreadable image"]
    assert broken.name in examples[0] and "truncated" in examples[0]
    store = open_store(tmp_path / "store")
    assert len(store.studies) == 10
    patients = {pair.main.patient for pair in store.pairs}
    assert not patients & {str(tiny_tree.patient(1)), str(tiny_tree.patient(2))}
    questions = "mimic_diff_vqa: question whose"
    assert report.skipped.counts[f"{questions} main study has no usable image"] == 2
    assert report.skipped.counts[f"{questions} reference study has no usable image"] == 2


def test_workers_do_not_change_the_store(tree, tmp_path):
    seen = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        prepare(find_roots([tree]), out, size=24, workers=workers,
                progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    first, second = (open_store(tmp_path / name) for name in ("1", "3"))
    assert first.info == second.info
    assert seen == [(done, 12) for done in range(1, 13)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "patient-save"}, "did you mean 'patient-safe'"),
        ({"priors": "rule"}, "did you mean 'rules'"),
        ({"workers": 0}, "0 workers"),
        ({"size": 0}, "size is at least 1"),
    ],
)
def test_wrong_options(tree, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(find_roots([tree]), tmp_path / "store", **{"size": 16, **options})
    assert not (tmp_path / "store").exists()


def test_a_taken_place_is_refused_before_any_work(tree, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="exists: give another folder"):
        prepare(find_roots([tree]), tmp_path, size=16)
    assert [item.name for item in tmp_path.iterdir()] == ["mine.txt"]
