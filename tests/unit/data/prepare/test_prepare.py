"""prepare: four raw datasets -> one store without a leak; skipped records are counted."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import small_files as small
import tiny_tree
from lapse.data.io.csv_tables import plain_id
from lapse.data.prepare import plan as plan_module
from lapse.data.prepare import prepare as prepare_module
from lapse.data.prepare.plan import Plan
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.images import ImageProcessing, equalise, image_size, read_at
from lapse.phantom.dataset.writer import SimulateConfig, simulate


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return tiny_tree.write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "store"
    report = prepare(find_roots([tree]), out, PrepareOptions(32))
    return report, open_store(out)


def test_the_four_datasets_are_found(tree):
    roots = find_roots([tree])
    assert roots.mimic_cxr_jpg == tree / "mimic-cxr-jpg"
    assert roots.reports == tree / "mimic-cxr"
    assert roots.chest_imagenome == tree / "chest-imagenome"
    assert roots.medical_diff_vqa == tree / "medical-diff-vqa"
    assert find_roots([tree / name for name in ("mimic-cxr", "mimic-cxr-jpg", "chest-imagenome",
                                                "medical-diff-vqa")]) == roots  # fmt: skip


def test_a_missing_dataset_is_described(tree):
    with pytest.raises(ValueError, match=r"mimic_pair_questions\.csv") as caught:
        find_roots([tree / "mimic-cxr", tree / "mimic-cxr-jpg"])
    assert "scene_graph.zip" in str(caught.value) and "metadata" not in str(caught.value)
    with pytest.raises(ValueError, match="no folder"):
        find_roots([tree / "nowhere"])


def test_two_copies_of_a_dataset_are_refused(tree, tmp_path):
    tiny_tree.write_questions(tmp_path, tiny_tree.question_rows())
    with pytest.raises(ValueError, match=r"several copies of Medical-Diff-VQA"):
        find_roots([tree, tmp_path])


def test_each_patient_has_one_split(prepared):
    _, store = prepared
    number = {str(tiny_tree.patient(n)): n for n in tiny_tree.PATIENTS}
    assert len(store.studies) == 12
    for study in store.studies:
        assert study.split == tiny_tree.SAFE[number[study.patient]]
    for pair in store.pairs:
        assert pair.split == tiny_tree.SAFE[number[pair.main.patient]]
        assert pair.main.taken_at > pair.reference.taken_at
    # patient 4 is a test patient of ImaGenome, so its two training questions are skipped
    assert len(store.pairs) == 10
    assert number[store.pairs_of("validate")[0].main.patient] == 5


def test_records_are_complete(prepared):
    _, store = prepared
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


def test_pixels_are_those_of_the_image(prepared, tree):
    _, store = prepared
    for study in store.studies:
        path = next((tree / "mimic-cxr-jpg").rglob(f"{study.image}.jpg"))
        with Image.open(path) as opened:
            full = equalise(opened).resize((32, 32), Image.Resampling.BICUBIC)
        pixels = store.pixels(study.image)
        assert pixels.shape == (32, 32) and pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - np.asarray(full).astype(int)).max() <= 8


@pytest.mark.parametrize("intensity", ["mimic", "display"])
def test_what_was_done_to_the_images_is_recorded_and_counted(tree, tmp_path, intensity):
    """A DICOM without a JPEG: its intensity is chosen, and its broken window is counted."""
    root = shutil.copytree(tree, tmp_path / "raw")
    jpeg = next((root / "mimic-cxr-jpg").rglob("*.jpg"))
    height, width = image_size(jpeg)
    data = small.dicom(small.picture(height, width), WindowCenter=[5, 1800], WindowWidth=[0, 700])
    jpeg.with_suffix(".dcm").write_bytes(data)
    jpeg.unlink()
    options = PrepareOptions(32, intensity=intensity)
    report = prepare(find_roots([root]), tmp_path / "store", options)
    store = open_store(tmp_path / "store")
    assert store.info.processing == options.processing == ImageProcessing("squash", intensity)
    assert f"squash, intensity {intensity}" in store.info.provenance()["images"]
    expected = read_at(jpeg.with_suffix(".dcm"), 32, options.processing).pixels
    np.testing.assert_array_equal(store.pixels(jpeg.stem), expected)
    (line,) = [line for line in report.noted.lines() if "DICOM display element ignored" in line]
    assert line.startswith("1 x ") and jpeg.stem in line and "zero or negative" in line


def test_the_report_counts_everything(prepared):
    report, store = prepared
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


def test_published_keeps_the_splits_and_counts_the_leak(tree, tmp_path):
    report = prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16, "published"))
    store = open_store(tmp_path / "store")
    assert report.leaked_patients == 4 and "LEAKED" in "\n".join(report.lines())
    splits = {int(study.patient) - 19000000: study.split for study in store.studies}
    assert splits == tiny_tree.IMAGENOME
    assert len(store.pairs) == 12 and len(store.pairs_of("test")) == 4


def test_a_leak_in_the_written_store_is_refused(tree, tmp_path, monkeypatch):
    """With an assignment that leaks, only the final check prevents the store."""

    def leaking(records):
        return dict.fromkeys(dict(records), "train")

    monkeypatch.setattr(plan_module, "assign_patients", leaking)
    real = Plan._item

    def padded(plan, study):
        item = real(plan, study)
        if plain_id(study.patient) == str(tiny_tree.patient(1)) and study.study.endswith("1"):
            leaking = replace(item.study, patient=f"0{study.patient}", split="test")
            return replace(item, study=leaking, report="")
        return item

    monkeypatch.setattr(Plan, "_item", padded)
    with pytest.raises(ValueError, match=r"leak .*patient: 1 \(for example 19000001\)"):
        prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    assert [path.name for path in tmp_path.iterdir()] == ["store.shards"]
    monkeypatch.setattr(prepare_module, "check_store_for_leaks", lambda store: None)
    prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    assert (tmp_path / "store").is_dir()


def test_an_unreadable_image_is_listed_and_its_pairs_are_skipped(tmp_path):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    broken = tiny_tree.image_file(tree, 1, 2)
    broken.write_bytes(broken.read_bytes()[:600])
    report = prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    reason = "mimic_cxr: unreadable image"
    assert report.skipped.counts[reason] == 1
    assert broken.name in report.skipped.examples[reason][0]
    assert "truncated" in report.skipped.examples[reason][0]
    store = open_store(tmp_path / "store")
    assert len(store.studies) == 11
    assert str(tiny_tree.patient(1)) not in {pair.main.patient for pair in store.pairs}
    reason = "mimic_diff_vqa: question whose main study has no usable image"
    assert report.skipped.counts[reason] == 2


def test_dicom_images_without_pydicom_are_an_error_before_any_image_is_read(tmp_path, monkeypatch):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    image = tiny_tree.image_file(tree, 2, 1)
    image.rename(image.with_suffix(".dcm"))
    monkeypatch.setattr("lapse.core.extras.find_spec", lambda module: None)
    with pytest.raises(ValueError, match=r"DICOM images of .* needs pydicom: pip install"):
        prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    assert not list(tmp_path.glob("store*/*"))


def test_missing_images_are_an_error_unless_they_are_allowed(tmp_path):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    missing = tiny_tree.image_file(tree, 2, 1)
    missing.unlink()
    with pytest.raises(ValueError, match=r"1 of 12 images are missing.*--subset") as caught:
        prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    assert missing.name in str(caught.value)
    options = PrepareOptions(16, is_subset=True)
    report = prepare(find_roots([tree]), tmp_path / "store", options)
    store = open_store(tmp_path / "store")
    assert report.skipped.counts["mimic_cxr: image file missing (subset)"] == 1
    assert len(store.studies) == 11 and store.info.subset
    assert "without missing images" in store.info.provenance()["images"]


def test_a_damaged_scene_graph_costs_its_regions_only(tmp_path):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    graphs = {tiny_tree.dicom(n, v): tiny_tree.graph(tiny_tree.dicom(n, v))
              for n in tiny_tree.PATIENTS for v in (1, 2)}  # fmt: skip
    graphs[tiny_tree.dicom(1, 1)] = ["no object"]
    tiny_tree.write_graphs(tree, graphs)
    report = prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
    reason = "chest_imagenome: unreadable scene graph (study kept without regions)"
    assert report.skipped.counts[reason] == 1
    store = open_store(tmp_path / "store")
    assert [bool(study.regions) for study in store.studies].count(False) == 1


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_workers_and_shards_do_not_change_the_store(tree, tmp_path):
    seen = []
    for name, options in (
        ("here", PrepareOptions(24)),
        ("one shard each", PrepareOptions(24, shard_size=1)),
        ("processes", PrepareOptions(24, shard_size=5, workers=2)),
    ):
        prepare(find_roots([tree]), tmp_path / name, options,
                progress=lambda done, total: seen.append((done, total)))  # fmt: skip
        assert not (tmp_path / f"{name}.shards").exists()
    assert seen == [(done, 12) for done in range(1, 13)] * 3
    first, *others = (content(tmp_path / n) for n in ("here", "one shard each", "processes"))
    assert sorted(first) == sorted(
        ["checksums.json", "pairs.parquet", "pixels.npy", "removed.jsonl", "splits.csv",
         "store.json", "studies.parquet"]
    )  # fmt: skip
    assert all(other == first for other in others)


def test_two_machines_make_the_store_of_one(tree, tmp_path):
    """Shards of two runs, copied together and merged, give the store of a single run."""
    roots = find_roots([tree])
    prepare(roots, tmp_path / "single", PrepareOptions(24, shard_size=5))
    for folder, shard in (("a", (1, 2)), ("b", (2, 2))):
        report = prepare(
            roots, tmp_path / folder / "store", PrepareOptions(24, shard=shard, shard_size=5)
        )
        assert not (tmp_path / folder / "store").exists()
        assert (report.num_made, report.num_shards) == ({"a": 2, "b": 1}[folder], 3)
    shards = tmp_path / "merged.shards"
    shutil.copytree(tmp_path / "a" / "store.shards", shards)
    shutil.copytree(tmp_path / "b" / "store.shards", shards, dirs_exist_ok=True)
    report = prepare(roots, tmp_path / "merged", PrepareOptions(24, shard_size=5))
    assert report.num_made == 0
    assert content(tmp_path / "merged") == content(tmp_path / "single")


def test_an_interrupted_run_keeps_its_complete_shards(tree, tmp_path):
    roots, out = find_roots([tree]), tmp_path / "store"
    options = PrepareOptions(24, shard_size=4)

    def interrupt(done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(roots, out, options, progress=interrupt)
    before = content(tmp_path / "store.shards")
    assert sorted(name for name in before if name.endswith(".json")) == [
        "shard-00000.json", "shard-00001.json"]  # fmt: skip
    seen = []
    report = prepare(roots, out, options, progress=lambda *count: seen.append(count))
    assert report.num_made == 1 and seen == [(done, 4) for done in range(1, 5)]
    prepare(roots, tmp_path / "whole", options)
    assert content(out) == content(tmp_path / "whole")


def test_shards_of_other_options_or_damaged_ones_are_refused(tree, tmp_path):
    roots, out = find_roots([tree]), tmp_path / "store"
    prepare(roots, out, PrepareOptions(24, shard_size=4, shard=(1, 1)))
    with pytest.raises(ValueError, match="made from other raw files or with other options"):
        prepare(roots, out, PrepareOptions(16, shard_size=4))
    damaged = tmp_path / "store.shards" / "shard-00001.npy"
    data = bytearray(damaged.read_bytes())
    data[-5] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard-00001.npy is missing or damaged"):
        prepare(roots, out, PrepareOptions(24, shard_size=4))
    assert not out.exists()
    (tmp_path / "store.shards" / "shard-00001.json").unlink()
    assert prepare(roots, out, PrepareOptions(24, shard_size=4)).num_made == 1


def test_splits_and_removed_texts_are_written_for_other_tools(prepared):
    _, store = prepared
    with (store.path / "splits.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["dicom_id"] for row in rows] == [study.id for study in store.studies]
    assert [row["split"] for row in rows] == [study.split for study in store.studies]
    fourth = next(row for row in rows if row["subject_id"] == str(tiny_tree.patient(4)))
    assert (fourth["mimic_cxr"], fourth["chest_imagenome"], fourth["split"]) == (
        "train", "test", "test")  # fmt: skip
    removed = [json.loads(line) for line in (store.path / "removed.jsonl").read_text().splitlines()]
    assert len(removed) == 12
    first = {"image": tiny_tree.dicom(1, 1), "where": "report", "removed": "1. Stable heart."}
    assert removed[0] == first


def test_all_frontal_images_can_be_kept(tmp_path):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    rows = [tiny_tree.metadata_row(n, v) for n in tiny_tree.PATIENTS for v in (1, 2)]
    second = tiny_tree.metadata_row(1, 1, dicom_id="second", ViewPosition="AP")
    (tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    tiny_tree.write_csv(
        tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv", tiny_tree.METADATA, [*rows, second]
    )
    header = ["dicom_id", "study_id", "subject_id", "split"]
    (tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz").unlink()
    splits = [
        {**{key: row[key] for key in header[:3]}, "split": "train"} for row in [*rows, second]
    ]
    tiny_tree.write_csv(tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv", header, splits)
    tiny_tree.write_jpg(tiny_tree.image_file(tree, 1, 1).with_name("second.jpg"), 99)
    roots = find_roots([tree])
    report = prepare(roots, tmp_path / "first", PrepareOptions(16))
    reason = "mimic_cxr: further frontal image of a study"
    assert report.skipped.counts[reason] == 1
    prepare(roots, tmp_path / "all", PrepareOptions(16, frontals="all"))
    first, both = open_store(tmp_path / "first"), open_store(tmp_path / "all")
    assert {study.id for study in both.studies} - {study.id for study in first.studies} == {
        "second"
    }
    mains = {pair.reference.image for pair in both.pairs}
    assert tiny_tree.dicom(1, 1) in mains and "second" not in mains  # questions refer to the first


def test_letterbox_keeps_proportions_of_pixels_and_boxes(tree, tmp_path, prepared):
    _, squashed = prepared
    prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(32, resize="letterbox"))
    store = open_store(tmp_path / "store")
    assert store.info.resize == "letterbox" and "letterbox" in store.info.provenance()["images"]
    # 120 x 90 at size 32: 24 columns of image, 4 black columns left and right
    pixels = store.pixels(store.studies[0].image)
    assert (pixels[:, :4] == 0).all() and (pixels[:, -4:] == 0).all() and pixels[:, 4:28].any()
    box = store.studies[0].region("right lung").box
    before = squashed.studies[0].region("right lung").box
    assert (box.y_min, box.y_max) == pytest.approx((before.y_min, before.y_max))
    assert box.x_min == pytest.approx((4 + 24 * before.x_min) / 32)
    assert box.x_max == pytest.approx((4 + 24 * before.x_max) / 32)


def test_all_36_regions_can_be_kept(tree, tmp_path, prepared):
    _, default = prepared
    prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16, regions="36"))
    store = open_store(tmp_path / "store")
    more = {r.name for r in store.studies[0].regions} - {r.name for r in default.studies[0].regions}
    assert more == {"left cardiac silhouette"} and store.info.regions == 36


def test_gold_makes_a_store_to_evaluate_on(tmp_path):
    raw = tmp_path / "raw"
    simulate(raw, SimulateConfig(patients=14, seed=3, size=96, visits=(2, 2)))
    with pytest.raises(ValueError, match="did you mean 'gold'"):
        PrepareOptions(32, boxes="golden")
    prepare(find_roots([raw]), tmp_path / "silver", PrepareOptions(32))
    prepare(find_roots([raw]), tmp_path / "gold", PrepareOptions(32, boxes="gold"))
    silver, gold = open_store(tmp_path / "silver"), open_store(tmp_path / "gold")
    assert gold.info.boxes == "gold" and len(gold.pairs) == 0
    assert {study.split for study in gold.studies} == {"test"} and len(gold.studies)
    silver_studies = {study.id: study for study in silver.studies}
    overlaps = []
    for study in gold.studies:
        assert study.region("spine") is None
        for region in study.regions:
            other = silver_studies[study.id].region(region.name)
            if region.box and other and other.box:
                overlaps.append(region.box.iou(other.box))
    assert min(overlaps) > 0.6 and sum(overlaps) / len(overlaps) < 0.999  # a second annotator


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "squish"}, "did you mean 'squash'"),
        ({"regions": "30"}, "known: 29, 36"),
        ({"protocol": "patient-save"}, "did you mean 'patient-safe'"),
        ({"priors": "rule"}, "did you mean 'rules'"),
        ({"workers": -1}, "-1 workers"),
        ({"size": 0}, "size is at least 1"),
        ({"shard": (3, 2)}, "shard 3 of 2"),
        ({"shard_size": 0}, "shards of 0 studies"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        PrepareOptions(**{"size": 16, **options})


def test_an_unknown_choice_of_frontals_is_refused(tree, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'first'"):
        prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16, frontals="firts"))


def test_an_existing_output_is_refused_before_any_work(tree, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="exists: give another folder"):
        prepare(find_roots([tree]), tmp_path, PrepareOptions(16))
    assert [item.name for item in tmp_path.iterdir()] == ["mine.txt"]


def test_the_impression_is_the_end_of_the_report(prepared):
    _, store = prepared
    for study in store.studies:
        assert study.report == f"{study.findings} {study.impression}"
        assert study.findings == "There is a nodule of 2.5 cm. No edema."
        assert study.impression == "No pneumothorax."  # "Stable heart" refers to a prior
