"""`verify` of own films: every injected defect with its row, and no false alarm."""

import shutil

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.data.datasets.discovery import find_table_roots
from lapse.data.verify.verify import verify
from lapse.phantom.dataset.plain_example import write_example
from own_table_defects import OWN_TABLE

SEEDS = range(5)
CHANGES = "reference,main,finding,change\nP001S1,P001S2,edema,added\nP001S1,P001S9,edma,added\n"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """An example of four simulated patients."""
    folder = tmp_path_factory.mktemp("own") / "own"
    write_example(folder, size=64)
    return folder / "example"


@pytest.fixture
def example(clean, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(clean, tmp_path / "example")


def report_of(folder, **options):
    return verify(find_table_roots(folder / "films.csv", folder / "images"), **options)


def codes_of(report):
    return {defect.type.code for defect in report.defects}


def test_a_clean_table_has_no_defect(clean):
    report = report_of(clean, pixels=True)
    assert codes_of(report) == set() and report.is_simulated
    rows = {row.table: row.num_rows for row in report.rows}
    assert rows["patients"] == 4 and rows["studies"] == rows["films"] > 8
    assert rows["difference questions"] == rows["films"] - 4 and rows["boxes"] > 20


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("code", OWN_TABLE)
def test_every_defect_is_found_and_nothing_else(example, code, seed):
    truth = OWN_TABLE[code](example, seed)
    report = report_of(example, pixels=True)
    ids = sorted(report.ids(code))
    assert len(ids) == len(truth) > 0
    assert all(name.startswith(start) for name, start in zip(ids, sorted(truth), strict=True))
    assert codes_of(report) == {code}, report.lines()


def test_defects_of_images(example):
    first, second, third, fourth, *_ = sorted((example / "images").rglob("*.png"))
    names = [path.relative_to(example / "images").as_posix() for path in (first, second, third)]
    *_, other = sorted((example / "images").rglob("*.png"))  # of another patient
    shutil.copy(fourth, other)
    shutil.copy(first, first.with_name("copy.PNG"))
    first.unlink()
    second.write_bytes(b"")
    third.write_bytes(third.read_bytes()[:200])
    report = report_of(example, pixels=True)
    assert report.ids("missing-image") == (names[0],)
    assert report.ids("empty-file") == (names[1],)
    assert set(report.ids("undecodable-image")) == {names[1], names[2]}
    assert report.ids("unlisted-image") == (f"{names[0].rpartition('/')[0]}/copy.PNG",)
    assert len(report.ids("identical-pixels")) == 1
    subset = report_of(example, subset=True)
    assert not subset.ids("missing-image")
    assert any(line.startswith("subset: 1 of") for line in subset.notes)


def test_boxes_beyond_their_image_and_stated_changes(example):
    path = example / "boxes.csv"
    header, first, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, f"{first.rpartition(',')[0]},900", *rows]), encoding="utf-8")
    assert report_of(example).ids("table-cell")[0].startswith("boxes.csv row 2, column 'y_max'")
    (example / "changes.csv").write_text(CHANGES, encoding="utf-8")
    ids = report_of(example).ids("table-cell")
    assert len(ids) == 1 and ids[0].startswith("changes.csv row 3, column 'main': 'P001S9'")
    (example / "dataset.json").write_text("{", encoding="utf-8")
    assert report_of(example).ids("table-file")[0].startswith("dataset.json is not valid JSON")


def test_the_command_line(example):
    arguments = ["verify", str(example / "films.csv"), "--images", str(example / "images")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "no defect found" in done.stdout
    OWN_TABLE["table-cell"](example, 0)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and "table-cell" in done.stdout
    done = CliRunner().invoke(app, arguments[:2])
    assert isinstance(done.exception, ValueError) and "--images" in str(done.exception)
