"""Own films from the table to scores, and a folder of DICOMs to a store, by the commands."""

import csv
import json
import logging

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.data.store.store import open_store
from own_films import write_films

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
LOOP = [
    "train.batch_size=4",
    "train.eval_samples=4",
    "train.eval_every=2",
    "train.precision=fp32",
    "train.steps=2",
]


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def train(folder, store):
    """Both stages, two steps each; the validation split of the six rows is empty."""
    lapse(
        "train", "pretrain-tiny", ENCODER, "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",
        *LOOP, "--data", store, "--out", folder / "pretrain",
    )  # fmt: skip
    lapse(
        "train", "diffvqa-tiny", ENCODER, f"init_encoder={folder / 'pretrain'}",
        "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}",
        *LOOP, "--data", store, "--out", folder / "diffvqa",
    )  # fmt: skip


def test_six_rows_written_by_hand_go_from_the_table_to_scores(tmp_path):
    roots = write_films(tmp_path)
    info = {"name": "Ward 7", "licence": "internal", "description": "Rendered films."}
    (tmp_path / "dataset.json").write_text(json.dumps(info), "utf-8")
    store = tmp_path / "store"
    lapse("prepare", roots.table, "--images", roots.images, store, "--size", 32, "--workers", 0)
    train(tmp_path, store)
    run = tmp_path / "diffvqa"
    lapse("predict", run, "--data", store, "--split", "test", "--num-beams", 2)
    predictions = run / "predictions-test.jsonl"
    lines = [json.loads(line) for line in predictions.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["diff_vqa/S6/S4/difference"]
    said = lapse("evaluate", predictions, "--data", store, "--no-java")
    assert "exact match" in said and "nothing has changed" in said
    scores = json.loads((run / "predictions-test.scores.json").read_text("utf-8"))
    assert "Ward 7, licence internal, Rendered films., own table" in json.dumps(scores)
    regions = tmp_path / "regions.jsonl"
    lapse("predict", tmp_path / "pretrain", "--data", store, "--tasks", "caref,gcap",
          "--out", regions)  # fmt: skip
    assert "Acc@0.5" in lapse("evaluate", regions, "--out", tmp_path / "s.json", "--no-java")
    lapse("report", predictions, "--data", store, "--out", tmp_path / "page.html")
    assert "date unknown" in (tmp_path / "page.html").read_text("utf-8")
    images = roots.images / "b"
    answer = lapse("answer", run, "--reference", images / "1.png", "--main", images / "2.png")
    assert answer.startswith("answer: ")


def test_a_folder_of_dicoms_becomes_a_store(tmp_path, caplog):
    pytest.importorskip("pydicom")
    caplog.set_level(logging.INFO, logger="lapse")
    lapse("simulate", tmp_path / "raw", "--patients", 8, "--size", 96, "--visits", "2-2",
          "--images", "dicom")  # fmt: skip
    folder = tmp_path / "films"
    folder.mkdir()  # the folders of MIMIC-CXR are named after the patient, which index refuses
    for number, path in enumerate(sorted((tmp_path / "raw").rglob("*.dcm"))):
        (folder / f"{number:03d}.dcm").write_bytes(path.read_bytes())
    (folder / "list.txt").write_text("not a film")
    table = tmp_path / "films.csv"
    lapse("index", folder, table)
    assert "1 x not a DICOM file" in "\n".join(caplog.messages)
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16 and len({row["patient"] for row in rows}) == 8
    for number, row in enumerate(rows):  # a person fills in the findings and the splits
        row["findings"] = "none" if row["order"] == "1" else "edema=mild"
        row["split"] = "test" if number >= 12 else "train"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    store = tmp_path / "store"
    lapse("prepare", table, "--images", folder, store, "--size", 32, "--workers", 0)
    pairs = open_store(store).pairs
    assert len(pairs) == 8
    assert {pair.answer for pair in pairs} == {
        "the main image has an additional finding of edema than the reference image. "
    }
    assert all(pair.days is not None and pair.days > 0 for pair in pairs)


def test_the_example_of_init_data_can_be_prepared(tmp_path):
    lapse("init-data", tmp_path / "own", "--size", 96)
    example = tmp_path / "own" / "example"
    lapse("prepare", example / "films.csv", "--images", example / "images", tmp_path / "store",
          "--size", 32, "--workers", 0)  # fmt: skip
    assert len(open_store(tmp_path / "store").pairs) >= 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "films.csv", "out"], "--images"),
        (["prepare", "one", "two", "out", "--images", "x"], "goes with one table"),
        (["prepare", "no.csv", "out", "--images", "x"], "no table no.csv"),
    ],
)
def test_a_wrong_call_is_explained(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.csv").touch()
    with pytest.raises(ValueError, match=message):
        lapse(*arguments)
