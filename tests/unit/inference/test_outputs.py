"""Files of an answer: several at once, checked before any work."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from comparisons import comparison
from dicom_pairs import compared, write_films
from lapse.cli.main import app
from lapse.images.dicom_header import is_dicom
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.answer_picture import draw_comparison
from lapse.inference.outputs import COLUMNS, AnswerFiles, csv_row
from lapse.inference.structured_report.document import headers_of, structured_report


def test_several_files_at_once(tmp_path):
    files = AnswerFiles(*(tmp_path / f"new/a.{name}" for name in ("json", "csv", "html", "png")))
    files.check([tmp_path / "film.png"])
    files.write(comparison())
    assert json.loads(files.json.read_text("utf-8")) == comparison().to_dict()
    assert files.html.read_text("utf-8") == comparison().page()
    (row,) = csv.DictReader(io.StringIO(files.csv.read_text("utf-8")))
    assert row == csv_row(comparison()) and tuple(row) == COLUMNS
    assert row["changes"] == "added edema" and row["unsure"] == "missing pneumothorax"
    assert "main edema = right lower lung zone 0.1000 0.6000 0.4000 0.9000" in row["regions"]
    assert row["research use"] == RESEARCH_USE and row["trained on"] == "drawings"
    with Image.open(files.png) as picture:
        assert picture.mode == "RGB"
    assert sorted(path.name for path in files.png.parent.iterdir()) == [
        "a.csv", "a.html", "a.json", "a.png",
    ]  # fmt: skip


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    film, target = tmp_path / "film.png", tmp_path / "a"
    film.touch()
    for files, message in (
        (AnswerFiles(json=tmp_path), "is a folder"),
        (AnswerFiles(html=film / "page.html"), "is a file"),
        (AnswerFiles(png=film), "would overwrite the film"),
        (AnswerFiles(json=target, csv=target), "would overwrite --json"),
    ):
        with pytest.raises(ValueError, match=message):
            files.check([film])
    assert [path.name for path in tmp_path.iterdir()] == ["film.png"] and not film.stat().st_size


def test_a_structured_report_of_files_that_are_not_dicom_is_refused(tmp_path):
    films = [tmp_path / "a.png", tmp_path / "b.png"]
    for film in films:
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(film)
    arguments = ["--reference", str(films[0]), "--main", str(films[1]), "--sr"]
    done = CliRunner().invoke(app, ["answer", *arguments, str(tmp_path / "sr.dcm")])
    assert isinstance(done.exception, ValueError)
    assert "both must be DICOM" in str(done.exception) and "loading" not in done.output
    assert not (tmp_path / "sr.dcm").exists()


def test_a_structured_report_is_written_with_the_other_files(tmp_path):
    headers = headers_of(write_films(tmp_path))
    files = AnswerFiles(json=tmp_path / "a.json", sr=tmp_path / "a.dcm")
    files.check([tmp_path / "earlier.dcm", tmp_path / "later.dcm"])
    files.write(compared(), structured_report(compared(), headers))
    assert is_dicom((tmp_path / "a.dcm").read_bytes()) and files.json.is_file()


def test_the_command_refuses_a_path_before_it_reads_the_films(tmp_path):
    arguments = ["--reference", "none.png", "--main", "none.png", "--json", str(tmp_path)]
    done = CliRunner().invoke(app, ["answer", *arguments])
    assert isinstance(done.exception, ValueError) and "is a folder" in str(done.exception)


def test_the_picture_has_the_box_and_the_notices():
    drawn = np.asarray(draw_comparison(comparison()))
    without = np.asarray(draw_comparison(replace(comparison(), boxes={})))
    blue = (drawn == (0x56, 0xB4, 0xE9)).all(axis=2)
    assert blue.any() and not (without == (0x56, 0xB4, 0xE9)).all(axis=2).any()
    rows, columns = np.nonzero(blue)
    columns = columns[rows > rows.max() - 3]  # of the lower edge: the label is longer
    left = (drawn.shape[1] - 2 * 570 - 16) // 2 + 570 + 16  # of the main film
    assert (
        abs(columns.min() - (left + 0.1 * 569)) < 3 and abs(columns.max() - (left + 0.4 * 569)) < 3
    )
    assert abs(rows.min() - (20 + 26 + 0.6 * 759)) < 3 and abs(rows.max() - (46 + 0.9 * 759)) < 3
    amber = (drawn == (0xFF, 0xB3, 0x47)).all(axis=2)
    assert np.nonzero(amber)[0].min() > 46 + 760  # the notice and the warning, below the films


def test_a_picture_needs_films():
    with pytest.raises(ValueError, match="holds no films"):
        draw_comparison(replace(comparison(), films={}))
