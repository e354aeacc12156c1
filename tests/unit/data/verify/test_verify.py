"""`verify` detects every defect type with exact ids, and nothing else."""

import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from all_release_defects import RELEASES
from defect_codes import HARMLESS_DEFECTS, IMAGES, REPORTS
from lapse.cli.main import app
from lapse.data.datasets.discovery import find_roots
from lapse.data.datasets.release_counts import PUBLISHED, UNCERTAIN, compare_with_published
from lapse.data.verify import verify as verify_module
from lapse.data.verify.defect_types import DEFECT_TYPES, defect_type
from lapse.data.verify.results import Findings, VerifyReport, printable
from lapse.data.verify.verify import verify
from lapse.evaluation.html.verify_page import render_verify_page
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.phantom.defects.inject import (
    EXCLUSIVE_DEFECTS,
    INJECTORS,
    MOST_OF_A_SOURCE,
    inject,
)
from own_table_defects import OWN_TABLE

USUAL_VIEWS = {"view-count", "unknown-view"}
RELEASE_CODES = {code for injectors in RELEASES.values() for code in injectors}
DOCS = Path(__file__).parents[4] / "docs" / "reference" / "defects.md"
RATE = 0.1
SEEDS = range(3)
MANY_SEEDS = range(3, 28)
# Further defects that may follow from a defect.
CONSEQUENCES = {
    "missing-column": {"extra-column"},  # a renamed column is both
    "patient-two-splits": {"cross-stage-overlap"},
    "questions-two-splits": {"cross-stage-overlap"},
    "few-questions": {"unknown-category"},
}
WRITES_FILES = {*IMAGES, *REPORTS, "upper-case-suffix", "png-copies", "mac-files", "nested-graphs",
                "reports-folder", "report-headers", "few-sections", "empty-file", "further-views",
                "overview-other-image"}  # fmt: skip
TYPE_OF_CHECK = {  # a defect type that only this check detects
    "check_image_files": "missing-image",
    "check_label_tables": "missing-side-table",
    "check_mimic_splits": "image-without-split",
    "check_scene_graphs": "graph-damaged",
    "check_gold": "gold-blank-box",
    "check_reports": "missing-report",
    "check_questions": "unparsed-answer",
    "check_overview": "overview-unknown-image",
    "check_diseases": "damaged-json",
    "check_progressions": "progression-unknown-word",
    "check_patients": "patient-two-splits",
    "check_checksums": "checksum",
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A tree of simulated patients and its report; tests must not change the tree."""
    out = tmp_path_factory.mktemp("clean") / "raw"
    simulate(out, SimulateConfig(patients=6, seed=3, size=64, visits=(2, 3)))
    before = digest(out)
    yield out, verify(find_roots([out]), pixels=True)
    assert digest(out) == before


def digest(root):
    names = sorted(path for path in root.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()


def copy(clean, out, *, files):
    """A copy that may be changed; without `files`, images and reports are links."""
    if files:
        return shutil.copytree(clean, out)
    shutil.copytree(clean, out, ignore=lambda _, names: {"files"} & set(names))
    for root in ("mimic-cxr-jpg", "mimic-cxr"):
        (out / root / "files").symlink_to(clean / root / "files")
    return out


@pytest.fixture
def tree(clean, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(clean[0], tmp_path / "raw")


def counts_of(report: VerifyReport) -> dict[str, int]:
    return {item.type.code: item.count for item in report.defects}


def damaged(clean, folder, code, seed):
    """Truth and report of a copy of the clean tree with one defect type."""
    out = copy(clean[0], folder / f"{code}-{seed}", files=code in WRITES_FILES)
    truth = inject(out, RATE, seed, [code])[code]
    with_pixels = code in HARMLESS_DEFECTS or defect_type(code).needs_pixels or code == "empty-file"
    report = verify(find_roots([out]), pixels=with_pixels)
    shutil.rmtree(out)
    return truth, report


def check_defect_type(clean, folder, code, seeds):
    """With every seed, the report equals the truth."""
    num_detected = 0
    clean_counts = counts_of(clean[1])
    for seed in seeds:
        truth, report = damaged(clean, folder, code, seed)
        assert truth, f"nothing was damaged with seed {seed}"
        others = {
            code: count
            for code, count in counts_of(report).items()
            if clean_counts.get(code) != count
        }
        if code in HARMLESS_DEFECTS:
            assert not others, (code, seed)
            continue
        count = others.pop(code)
        ids = [name for name in report.ids(code) if name not in clean[1].ids(code)]
        if code != "regions-incomplete":  # counted without ids
            assert sorted(ids) == sorted(truth), (code, seed)
        assert count == len(truth) + clean_counts.get(code, 0), (code, seed)
        assert set(others) <= CONSEQUENCES.get(code, set()), (code, seed, others)
        num_detected += 1
    if code not in HARMLESS_DEFECTS:
        print(f"{code}: {num_detected}/{len(seeds)} seeds, every id")
        assert num_detected == len(seeds)


def test_a_clean_tree_has_no_error(clean):
    report = clean[1]
    assert report.num_defects("error") == 0 and report.exit_code == 0
    assert set(counts_of(report)) <= {"byte-order-mark"}  # of the gold text
    assert all(row.num_rows > 0 for row in report.rows if row.table != "images_to_avoid")


@pytest.mark.parametrize("code", INJECTORS)
def test_every_defect_type_is_detected_by_id_and_nothing_else(clean, tmp_path, code):
    check_defect_type(clean, tmp_path, code, SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("code", INJECTORS)
def test_every_defect_type_with_25_seeds(clean, tmp_path, code):
    check_defect_type(clean, tmp_path, code, MANY_SEEDS)


def test_every_defect_type_has_an_injector_except_row_counts():
    codes = {code.code for code in DEFECT_TYPES}
    # a simulated tree has no published counts; own films and releases are other trees, and every
    # simulated ReXGradient has both kinds of USUAL_VIEWS
    elsewhere = {"row-count", *OWN_TABLE, *USUAL_VIEWS, *RELEASE_CODES}
    assert codes - set(INJECTORS) == elsewhere - set(INJECTORS)
    assert elsewhere <= codes
    assert set(INJECTORS) - codes == set(HARMLESS_DEFECTS)
    assert len(codes) == len(DEFECT_TYPES)


def test_the_documentation_lists_every_defect_type():
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9.-]+)` \| (error|warning) \|", text, re.MULTILINE)
    assert sorted(rows) == sorted((code.code, code.severity) for code in DEFECT_TYPES)
    assert all(f"`{code}`" in text for code in (*HARMLESS_DEFECTS, *EXCLUSIVE_DEFECTS))


@pytest.mark.parametrize("name", TYPE_OF_CHECK)
def test_without_its_check_a_defect_is_not_detected(clean, tmp_path, monkeypatch, name):
    assert {check.__name__ for check in verify_module.CHECKS} - set(TYPE_OF_CHECK) == {
        "check_metadata"
    }
    code = TYPE_OF_CHECK[name]
    assert damaged(clean, tmp_path, code, 0)[1].ids(code)
    kept = tuple(check for check in verify_module.CHECKS if check.__name__ != name)
    monkeypatch.setattr(verify_module, "CHECKS", kept)
    assert not damaged(clean, tmp_path, code, 0)[1].ids(code)


@pytest.mark.parametrize("code", [code.code for code in DEFECT_TYPES if code.needs_pixels])
def test_without_pixels_three_types_are_not_detected(clean, tmp_path, code):
    out = shutil.copytree(clean[0], tmp_path / "raw")
    inject(out, RATE, 0, [code])
    report = verify(find_roots([out]))
    assert not report.ids(code)
    assert any("--check-pixels" in line for line in report.notes)


def test_all_defect_types_at_once_are_detected(tmp_path):
    config = SimulateConfig(patients=24, seed=3, size=64, visits=(2, 3))
    simulate(tmp_path / "clean", config)
    for seed in SEEDS:
        out = shutil.copytree(tmp_path / "clean", tmp_path / f"all-{seed}")
        truth = inject(out, 0.02, seed)
        assert set(truth) == set(INJECTORS) - set(EXCLUSIVE_DEFECTS)
        report = verify(find_roots([out]), pixels=True)
        missed = {
            code: set(ids) - set(report.ids(code))
            for code, ids in truth.items()
            if code not in {*HARMLESS_DEFECTS, "regions-incomplete"}  # counted without ids
        }
        assert not any(missed.values()), (seed, missed)
        total = sum(len(ids) for ids in truth.values())
        print(f"seed {seed}: {total}/{total} defects of {len(truth)} kinds")
        assert report.exit_code == 1


def tables_of(out):
    unread = ("gold", "phantom")  # not checked: the gold tables and the truth
    return sorted(
        path
        for path in out.rglob("*.csv*")
        if unread[0] not in path.name and path.parent.name != unread[1]
    )


def test_rows_absent_from_a_damaged_table_are_not_reported(clean, tmp_path):
    clean_counts = set(counts_of(clean[1]))
    for table in tables_of(clean[0]):
        out = copy(clean[0], tmp_path / "raw", files=False)
        path = out / table.relative_to(clean[0])
        data = path.read_bytes()
        path.unlink()
        packed = data if path.suffix == ".gz" else gzip.compress(data, mtime=0)
        target = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
        target.write_bytes(packed[:-8])
        report = verify(find_roots([out]), pixels=True)
        assert report.ids("damaged-table") == (target.name,)
        assert set(counts_of(report)) - clean_counts == {"damaged-table"}, table.name
        shutil.rmtree(out)


def test_a_table_without_a_needed_column_is_not_read_further(tree, clean):
    for table in tables_of(tree):
        data = table.read_bytes()
        text = (gzip.decompress(data) if table.suffix == ".gz" else data).decode()
        renamed = text.replace("subject_id", "patient", 1).encode()
        table.write_bytes(gzip.compress(renamed) if table.suffix == ".gz" else renamed)
        report = verify(find_roots([tree]))
        assert report.ids("missing-column") == (f"{table.name}: subject_id",)
        assert report.ids("extra-column") == (f"{table.name}: patient",)
        assert set(counts_of(report)) - set(counts_of(clean[1])) == {
            "missing-column",
            "extra-column",
        }
        table.write_bytes(data)


def test_row_counts_are_compared_only_with_real_trees(tree):
    report = verify(find_roots([tree]))
    assert not report.ids("row-count") and any("simulated" in line for line in report.notes)
    (tree / "SIMULATED.txt").unlink()
    report = verify(find_roots([tree]))
    assert len(report.ids("row-count")) == len(PUBLISHED) - len(UNCERTAIN)
    assert f"MIMIC-CXR images: {report.rows[0].num_rows} of 377,110" in report.ids("row-count")
    subset = verify(find_roots([tree]), subset=True)
    assert not subset.ids("row-count") and subset.exit_code == 0


def keep_patients(tree, count):
    """Remove the images and reports of all but the first patients."""
    for kind in ("mimic-cxr-jpg", "mimic-cxr"):
        for folder in sorted((tree / kind / "files").glob("p*/p*"))[count:]:
            shutil.rmtree(folder)


def keep_rows(path, patients):
    """Keep the rows of some patients."""
    data = path.read_bytes()
    is_packed = path.suffix == ".gz"
    header, *lines = (gzip.decompress(data) if is_packed else data).decode().splitlines(True)
    column = header.split(",").index("subject_id")
    kept = [line for line in lines if line.split(",")[column] in patients]
    text = "".join([header, *kept]).encode()
    path.write_bytes(gzip.compress(text) if is_packed else text)


@pytest.mark.parametrize("is_filtered", [False, True])
def test_a_copy_of_some_patients_is_verified_as_a_subset(tree, is_filtered):
    (tree / "SIMULATED.txt").unlink()
    keep_patients(tree, 2)
    folders = sorted((tree / "mimic-cxr-jpg/files").glob("p*/p*"))
    if is_filtered:
        for path in sorted((tree / "mimic-cxr-jpg").glob("*.csv.gz")):
            keep_rows(path, {folder.name[1:] for folder in folders})
    assert verify(find_roots([tree])).num_defects("error") > 0
    report = verify(find_roots([tree]), subset=True)
    assert report.num_defects("error") == 0, report.lines()
    assert any("subset: images by group of patients: p1" in line for line in report.notes)
    study = next(folder for folder in sorted(folders[0].iterdir()))
    report_file = tree / "mimic-cxr" / f"{study.relative_to(tree / 'mimic-cxr-jpg')}.txt"
    report_file.unlink()
    assert verify(find_roots([tree]), subset=True).ids("missing-report") == (study.name,)


def test_in_a_subset_a_study_with_images_needs_its_frontal_image(tree):
    laterals = inject(tree, 1.0, 0, ["further-views"])["further-views"]
    (tree / "SIMULATED.txt").unlink()
    files = {path.stem: path for path in tree.rglob("s*/*.jpg")}
    files.pop(laterals[0]).unlink()  # not read, so not needed
    folder = files[laterals[1]].parent
    frontal = next(path for path in folder.glob("*.jpg") if path.stem != laterals[1])
    frontal.unlink()
    for path in sorted(folder.parent.iterdir()):  # not in the copy at all
        if path != folder:
            shutil.rmtree(path)
    assert verify(find_roots([tree]), subset=True).ids("missing-image") == (frontal.stem,)


def test_a_source_that_vanishes_is_only_noted_in_a_subset(clean, tmp_path):
    for code in MOST_OF_A_SOURCE:
        out = shutil.copytree(clean[0], tmp_path / code)
        (source,) = inject(out, RATE, 0, [code])[code]
        report = verify(find_roots([out]), subset=True)
        assert not report.ids(code)
        assert any(line.startswith(source) for line in report.notes)
        shutil.rmtree(out)


def test_published_counts_are_not_a_defect():
    rows = compare_with_published(PUBLISHED, has_published=True)
    assert [row.verdict for row in rows] == ["as published"] * len(PUBLISHED)
    one_less = {key: count - 1 for key, count in PUBLISHED.items()}
    rows = compare_with_published(one_less, has_published=True)
    assert sum(row.differs for row in rows) == len(PUBLISHED) - len(UNCERTAIN)
    categories = list(PUBLISHED.values())[-8:-1]
    assert sum(categories) == PUBLISHED["Medical-Diff-VQA", "questions"]


def test_checksums_of_image_files_need_pixels(tree):
    root = tree / "mimic-cxr-jpg"
    name = next(root.rglob("*.jpg")).relative_to(root).as_posix()
    (root / "SHA256SUMS.txt").write_text(f"{'0' * 64} {name}\nnot a sum\n{'0' * 64} absent.txt\n")
    assert not verify(find_roots([tree])).ids("checksum")
    report = verify(find_roots([tree]), pixels=True)
    assert report.ids("checksum") == (name,)
    assert "mimic-cxr-jpg/SHA256SUMS.txt: 1 lines are not checksums" in report.notes


def test_a_sum_outside_its_folder_is_never_opened(tree):
    (tree / "mimic-cxr-jpg" / "SHA256SUMS.txt").write_text(f"{'0' * 64} ../SIMULATED.txt\n")
    assert not verify(find_roots([tree])).ids("checksum")


def test_reports_from_the_derived_table(tree):
    reports = tree / "mimic-cxr"
    studies = sorted(path.stem for path in reports.rglob("s*.txt"))
    rows = ["study,impression,findings,last_paragraph,comparison"]
    rows += [f"{study},No edema.,,," for study in studies[2:]]
    (reports / "mimic_cxr_sectioned.csv").write_text("\n".join([*rows, f"{studies[1]},,,,"]))
    report = verify(find_roots([tree]))
    assert report.ids("missing-report") == (studies[0],)
    assert report.ids("report-without-text") == (studies[1],)


def test_scene_graphs_in_a_folder(tree, clean):
    silver = tree / "chest-imagenome" / "silver_dataset"
    shutil.unpack_archive(silver / "scene_graph.zip", silver)
    (silver / "scene_graph.zip").unlink()
    report = verify(find_roots([tree]))
    assert counts_of(report) == counts_of(clean[1])
    path = sorted((silver / "scene_graph").iterdir())[0]
    path.write_text("{")
    ids = verify(find_roots([tree])).ids("graph-damaged")
    assert ids == (path.name.removesuffix("_SceneGraph.json"),)


def test_repeated_questions_are_found(tree):
    path = tree / "medical-diff-vqa" / "mimic_pair_questions.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows, *rows, *rows]) + "\n")
    assert counts_of(verify(find_roots([tree])))["duplicate-question"] == 2 * len(rows)


def test_ids_are_listed_up_to_a_limit_and_counted_beyond():
    findings = Findings(max_ids=2)
    for name in "abc":
        findings.add("missing-image", name)
    defect = findings.defects()[0].to_json()
    assert (defect["count"], defect["ids"], defect["num_unlisted"]) == (3, ["a", "b"], 1)
    with pytest.raises(ValueError, match="did you mean 'missing-image'"):
        findings.add("mising-image", "a")


def test_texts_of_files_are_escaped(clean):
    assert printable("a\x1b[2J\udce9\nb") == "a\\x1b[2J\\udce9\\nb"
    assert len(printable("x" * 1000)) == 200
    findings = Findings()
    findings.add("extra-column", "table: <script>alert(1)</script>")
    report = VerifyReport((), False, False, findings.defects(), (), ("<b>note</b>",))
    page = render_verify_page(report)
    assert "<script" not in page and "<b>note" not in page and "&lt;script&gt;" in page
    assert "&lt;b&gt;note" in page and not re.search(r"(?:src|href)=", page)


def test_the_page_lists_defects_rows_and_notes(clean, tmp_path):
    truth, report = damaged(clean, tmp_path, "empty-question", 1)
    page = render_verify_page(report)
    assert all(name in page for name in truth) and "empty-question" in page
    assert "Medical-Diff-VQA" in page and "image files were not decoded" in page


def test_progress_ends_at_its_total(clean):
    calls = []
    verify(find_roots([clean[0]]), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] > 0
    assert all(done <= total for done, total in calls)


def test_the_command_line(tree, tmp_path):
    run = CliRunner().invoke
    done = run(app, ["verify", str(tree)])
    assert done.exit_code == 0 and "simulated data: " in done.stdout
    assert run(app, ["verify", str(tree), "--subset"]).exit_code == 0
    inject(tree, RATE, 0, ["missing-image", "box-no-area"])
    page, file = tmp_path / "page.html", tmp_path / "found.json"
    done = run(app, ["verify", str(tree), "--json", str(file), "--page", str(page)])
    assert done.exit_code == 1 and "missing-image" in done.stdout
    assert json.loads(file.read_text())["exit_code"] == 1
    assert page.read_text().startswith("<!doctype html>")
    piped = run(app, ["verify", str(tree), "--json", "-"])
    assert json.loads(piped.stdout)["errors"] == json.loads(file.read_text())["errors"]
    assert isinstance(run(app, ["verify", str(tree / "no")]).exception, ValueError)  # exit code 2


def test_a_tree_of_dicoms_has_the_same_defects(tmp_path):
    raw = tmp_path / "raw"
    simulate(raw, SimulateConfig(patients=4, seed=5, size=64, visits=(2, 2), images="dicom"))
    roots = find_roots([raw])
    report = verify(roots, pixels=True)
    assert report.num_defects("error") == report.num_defects("warning") == 0
    first, second = sorted(raw.rglob("*.dcm"))[:2]
    first.unlink()
    second.write_bytes(b"")
    report = verify(roots)
    assert report.ids("missing-image") == (first.stem,)
    name = second.relative_to(raw / "mimic-cxr").as_posix()
    assert report.ids("empty-file") == (name,)
