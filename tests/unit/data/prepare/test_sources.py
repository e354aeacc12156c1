"""No source vanishes: copies of other forms are read, and what delivers too little is an error."""

import gzip
import json
import os
import shutil
import zipfile
from collections import Counter

import pytest
from PIL import Image

import tiny_tree
from lapse.data.datasets.discovery import find_roots
from lapse.data.prepare.prepare import PrepareOptions, prepare
from lapse.data.prepare.sources import SAMPLE, SourceCount, check_sources, even_sample
from lapse.data.store.store import open_store
from lapse.data.verify.verify import verify

GRAPHS = {
    tiny_tree.dicom(n, v): tiny_tree.graph(tiny_tree.dicom(n, v))
    for n in tiny_tree.PATIENTS
    for v in (1, 2)
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A tree and what is stored of it; tests must not change the tree."""
    folder = tmp_path_factory.mktemp("clean")
    tree = tiny_tree.write_tree(folder / "tree")
    return tree, stored(tree, folder / "store")


@pytest.fixture
def tree(clean, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(clean[0], tmp_path / "tree")


def stored(tree, out, **options):
    """The records of the store of a tree, without pixels."""
    prepare(find_roots([tree]), out, PrepareOptions(16, **options))
    store = open_store(out)
    return list(store.studies), [(pair.id, pair.category) for pair in store.pairs]


def edit(path, change):
    """Change the text of a table, packed or not."""
    is_packed = path.suffix == ".gz"
    data = path.read_bytes()
    text = change((gzip.decompress(data) if is_packed else data).decode()).encode()
    path.write_bytes(gzip.compress(text) if is_packed else text)


def few_regions(tree):
    kept = dict(list(GRAPHS.items())[:5])
    tiny_tree.write_graphs(tree, kept)


def no_phrases(tree):
    tiny_tree.write_graphs(tree, {name: {**g, "attributes": []} for name, g in GRAPHS.items()})


def renamed_categories(tree):
    table = tree / "medical-diff-vqa/mimic_pair_questions.csv"
    edit(table, lambda text: text.replace("difference", "change"))


def other_studies(tree):
    table = tree / "medical-diff-vqa/mimic_pair_questions.csv"
    edit(table, lambda text: text.replace(",5100", ",5900"))


def no_sections(tree):
    for path in tree.rglob("s*.txt"):
        path.write_text("FINAL REPORT\n\nThe lungs are clear.\n", encoding="utf-8")


def no_reports(tree):
    for path in sorted(tree.rglob("s*.txt"))[1:]:
        path.unlink()


def other_views(tree):
    table = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    edit(table, lambda text: text.replace(",PA,", ",FRONT,", 8).replace("postero-", "back-"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (few_regions, r"images with a box, in a sample: 5 of 12"),
        (no_phrases, r"images with a described region: 0 of 12"),
        (renamed_categories, r"questions whose studies are usable: 6 of 12|question_type"),
        (other_studies, r"difference questions whose studies are usable: 0 of 6"),
        (no_sections, r"reports with findings or an impression, in a sample: 0 of 12"),
        (no_reports, r"reports with findings or an impression, in a sample: 1 of 12"),
        (other_views, r"studies with a frontal image, a date and a split: 4 of 12"),
    ],
)
def test_less_than_half_is_an_error_that_names_the_source(tree, tmp_path, change, message):
    change(tree)
    if change is renamed_categories:
        table = tree / "medical-diff-vqa/mimic_pair_questions.csv"
        edit(table, lambda text: text.replace("presence", "existence", 1))
    out = tmp_path / "store"
    with pytest.raises(ValueError, match=message) as caught:
        prepare(find_roots([tree]), out, PrepareOptions(16))
    assert "--subset" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tree"]  # before any work


@pytest.mark.parametrize("change", [few_regions, no_sections, other_studies])
def test_a_subset_is_warned_about_only(tree, tmp_path, change, caplog):
    change(tree)
    studies, _ = stored(tree, tmp_path / "store", is_subset=True)
    assert len(studies) == 12
    assert any("less than half" in message for message in caplog.messages)


def test_unreadable_images_are_an_error_and_their_shards_are_kept(tree, tmp_path):
    for number in (1, 2, 3, 4):
        for visit in (1, 2):
            tiny_tree.image_file(tree, number, visit).write_bytes(b"version https://git-lfs")
    with pytest.raises(ValueError, match=r"readable images: 4 of 12 \(8 x mimic_cxr: unreadable"):
        stored(tree, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    report = prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16, is_subset=True))
    assert report.num_made == 0 and report.kept["patients"] == 2


def upper_case_categories(tree):
    table = tree / "medical-diff-vqa/mimic_pair_questions.csv"
    edit(
        table,
        lambda text: text.replace("difference", "DIFFERENCE").replace(",presence", ",Presence "),
    )


def view_nan(tree):
    table = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    edit(table, lambda text: text.replace(",PA,", ",nan,"))


def no_blank_before_headers(tree):
    for path in tree.rglob("s*.txt"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("\n ", "\n"), encoding="utf-8")


def lower_case_headers(tree):
    for path in tree.rglob("s*.txt"):
        text = path.read_text(encoding="utf-8")
        for name in ("EXAMINATION", "FINDINGS", "IMPRESSION"):
            text = text.replace(f"{name}:", f"{name.capitalize()}:")
        path.write_text(text, encoding="utf-8")


def nested_graphs(tree):
    silver = tree / "chest-imagenome/silver_dataset"
    with zipfile.ZipFile(silver / "scene_graph.zip") as archive:
        archive.extractall(silver / "scene_graph")
    (silver / "scene_graph.zip").unlink()


def deep_members(tree):
    """An archive whose members are one folder deeper."""
    silver = tree / "chest-imagenome/silver_dataset"
    with zipfile.ZipFile(silver / "scene_graph.zip", "w") as archive:
        for name, graph in GRAPHS.items():
            archive.writestr(f"silver/scene_graph/{name}_SceneGraph.json", json.dumps(graph))


def upper_case_suffixes(tree):
    for path in sorted(tree.rglob("s*/*.jpg")):
        path.rename(path.with_suffix(".JPG"))


def png_copies(tree):
    for path in sorted(tree.rglob("s*/*.jpg")):
        with Image.open(path) as image:
            image.save(path.with_suffix(".PNG"))
        path.unlink()


def reports_in_a_folder(tree):
    shutil.move(tree / "mimic-cxr/files", tree / "mimic-cxr/mimic-cxr-reports/files")


def reports_among_the_images(tree):
    shutil.move(tree / "mimic-cxr", tree / "mimic-cxr-jpg/mimic-cxr-reports")


def mac_files(tree):
    folder = tree / "__MACOSX/chest-imagenome/silver_dataset/scene_graph"
    folder.mkdir(parents=True)
    (folder / "._a_SceneGraph.json").write_bytes(b"\0")
    image = tiny_tree.image_file(tree, 1, 1)
    image.with_name(f"._{image.name}").write_bytes(b"\0")
    (tree / "medical-diff-vqa/.DS_Store").write_bytes(b"\0")
    with zipfile.ZipFile(tree / "chest-imagenome/silver_dataset/scene_graph.zip", "a") as archive:
        archive.writestr(f"__MACOSX/scene_graph/._{tiny_tree.dicom(1, 1)}_SceneGraph.json", b"\0")


def repeated_table(tree):
    table = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    table.with_suffix("").write_bytes(gzip.decompress(table.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        upper_case_categories,
        view_nan,
        no_blank_before_headers,
        lower_case_headers,
        nested_graphs,
        deep_members,
        upper_case_suffixes,
        png_copies,
        reports_in_a_folder,
        reports_among_the_images,
        mac_files,
        repeated_table,
    ],
)
def test_copies_of_another_form_give_the_same_records(clean, tree, tmp_path, change):
    change(tree)
    assert stored(tree, tmp_path / "store") == clean[1]
    assert verify(find_roots([tree]), pixels=True).num_defects("error") == verify(
        find_roots([clean[0]]), pixels=True
    ).num_defects("error")


def test_two_different_tables_are_refused_and_named(tree, tmp_path):
    table = tree / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(table.read_bytes()).decode()
    for name in ("mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.0.0-small-metadata.csv"):
        short = table.with_name(name)
        short.write_text("\n".join(text.splitlines()[:4]), encoding="utf-8")
        with pytest.raises(
            ValueError, match=r"metadata\.csv\.gz and .*metadata\.csv are"
        ) as caught:
            prepare(find_roots([tree]), tmp_path / "store", PrepareOptions(16))
        assert name in str(caught.value)
        report = verify(find_roots([tree]))
        assert report.ids("ambiguous-table") == (f"{table.name} (read), {name}",)
        short.unlink()


def test_an_archive_in_the_place_of_its_files_is_named(tree):
    silver = tree / "chest-imagenome/silver_dataset"
    (silver / "scene_graph").mkdir()
    shutil.move(silver / "scene_graph.zip", silver / "scene_graph/scene_graph.zip")
    with pytest.raises(ValueError, match=r"holds no \*_SceneGraph.json, but scene_graph.zip"):
        prepare(find_roots([tree]), tree / "store", PrepareOptions(16))
    shutil.rmtree(tree / "mimic-cxr/files")
    (tree / "mimic-cxr/mimic-cxr-reports.ZIP").touch()
    with pytest.raises(ValueError, match=r"packed: .*mimic-cxr-reports.ZIP; unpack"):
        find_roots([tree])


def count_calls(monkeypatch, run):
    """Call of the file system -> how often it names a file or the folder of a study."""
    counts = Counter()

    def counted(name, call):
        def count(path=".", *args, **kwargs):
            text = str(path)
            counts[name] += "/s51" in text and not text.endswith(".txt")
            return call(path, *args, **kwargs)

        return count

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scandir", "listdir"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        run()
    return +counts


@pytest.mark.parametrize("suffix", [".jpg", ".dcm"])
def test_an_image_is_looked_up_once(tmp_path, monkeypatch, suffix):
    tree = tiny_tree.write_tree(tmp_path / "tree")
    if suffix == ".dcm":  # in the tree of the reports, as MIMIC-CXR has them
        for path in sorted(tree.rglob("s*/*.jpg")):
            target = tree / "mimic-cxr" / path.relative_to(tree / "mimic-cxr-jpg")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target.with_suffix(".dcm"))
        shutil.rmtree(tree / "mimic-cxr-jpg/files")
    roots, num = find_roots([tree]), len(GRAPHS)
    counts = count_calls(
        monkeypatch, lambda: prepare(roots, tmp_path / "store", PrepareOptions(16))
    )
    assert counts == {"scandir": num, "stat": num}  # to find an image, and before it is read
    counts = count_calls(monkeypatch, lambda: verify(roots))
    assert counts == {"scandir": num}  # the entry of the folder gives the size


def test_a_sample_is_even_and_small():
    assert even_sample(range(10)) == range(10)
    sample = even_sample(range(100_000))
    assert len(sample) <= SAMPLE and sample[1] - sample[0] == sample[-1] - sample[-2] > 100


def test_half_is_enough():
    check_sources([SourceCount("a", 2, 4, ""), SourceCount("b", 0, 0, "")], is_subset=False)
    with pytest.raises(ValueError, match=r"a: 1 of 4 \(hint\); b: 0 of 1"):
        check_sources([SourceCount("a", 1, 4, "hint"), SourceCount("b", 0, 1, "")], is_subset=False)
