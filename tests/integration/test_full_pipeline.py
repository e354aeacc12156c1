"""The full pipeline by commands: simulate, prepare, train, predict, evaluate, answer."""

import json
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lapse.cli import main as cli
from lapse.cli.main import app
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
TRAIN = ["train.batch_size=8", "train.eval_samples=8", "train.eval_every=2"]


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with raw data, a store and one run of each stage, written by the commands."""
    folder = tmp_path_factory.mktemp("pipeline")
    lapse("simulate", folder / "raw", "--patients", 14, "--size", 96, "--visits", "2-2")
    lapse("prepare", folder / "raw", folder / "store", "--size", 32)
    lapse(
        "train", "pretrain-tiny", ENCODER, "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",

        "train.precision=fp32", "train.steps=3",
        *TRAIN, "--data", folder / "store", "--out", folder / "pretrain",
    )  # fmt: skip
    lapse(
        "train", "diffvqa-tiny", ENCODER, f"init_encoder={folder / 'pretrain'}",
        "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}",

        "train.precision=fp32", "train.steps=3",
        *TRAIN, "--data", folder / "store", "--out", folder / "diffvqa",
    )  # fmt: skip
    return folder


def test_raw_data_to_scores(folder):
    lapse(
        "predict",
        folder / "diffvqa",
        "--data",
        folder / "store",
        "--split",
        "test",
        "--num-beams",
        2,
    )
    predictions = folder / "diffvqa" / "predictions-test.jsonl"
    copy = folder / "diffvqa" / "copy.jsonl"
    shutil.copy(predictions, copy)
    output = lapse("evaluate", predictions, "--data", folder / "store", "--compare-with", copy)
    assert "| constant answer | nothing has changed | random training answer |" in output
    scores = json.loads((folder / "diffvqa" / "predictions-test.scores.json").read_text("utf-8"))
    text = json.dumps(scores)
    for word in ("diff_vqa", "BLEU-4", "METEOR", "CIDEr", "unparsed rate", "patient-safe"):
        assert word in text
    comparisons = scores["comparisons"]
    assert list(comparisons) == [
        str(copy),
        "constant answer",
        "nothing has changed",
        "random training answer",
    ]
    assert comparisons[str(copy)] == scores["scores"]
    lines = predictions.read_text("utf-8").splitlines()
    copy.write_text("\n".join(lines[1:]), "utf-8")
    with pytest.raises(ValueError, match=f"{len(lines) - 1} shared with the {len(lines)}"):
        lapse("evaluate", predictions, "--compare-with", copy)
    assert lines and all(json.loads(line)["task"] == "diff_vqa" for line in lines)


def write_readable(path):
    """Replace the answers of an untrained model, which the grammar cannot read."""
    items = [replace(item, prediction="nothing has changed.") for item in read_predictions(path)]
    write_predictions(path, items)


def test_probes_confidence_and_report(folder):
    store, run = folder / "store", folder / "diffvqa"
    common = [run, "--data", store, "--num-beams", 2]
    plain, page = folder / "confidence" / "test.jsonl", folder / "confidence" / "page.html"
    lapse("predict", *common, "--confidence", "clauses", "--out", plain)
    lapse("predict", *common, "--probe", "swap", "--probe", "identity", "--out", plain)
    validation = folder / "confidence" / "validate.jsonl"
    lapse("predict", *common, "--split", "validate", "--confidence", "beam", "--out", validation)
    with pytest.raises(ValueError, match="answers unread: a threshold cannot rest on unread"):
        lapse("calibrate", validation, "--alpha", 0.5, "--num-resplits", 3)
    write_readable(validation)
    output = lapse("calibrate", validation, "--alpha", 0.5, "--num-resplits", 3)
    assert "limit 0.5" in output and "3 resplits by patient: mean " in output
    threshold = folder / "confidence" / "threshold.json"
    for name in ("test.jsonl", "test.swap.jsonl", "test.identity.jsonl"):
        write_readable(folder / "confidence" / name)
    probes = ["--probe", folder / "confidence" / "test.swap.jsonl"]
    probes += ["--probe", folder / "confidence" / "test.identity.jsonl"]
    output = lapse("evaluate", plain, "--data", store, *probes, "--threshold", threshold)
    assert (
        "| swap law |" in output and "| identity |" in output and "| false-change rate |" in output
    )
    output = lapse("report", plain, "--data", store, "--threshold", threshold, "--out", page)
    assert "no scores" not in output
    text = page.read_text("utf-8")
    assert "Research use only" in text and "With abstention" in text and "swap law" in text
    assert "data:image/jpeg;base64," in text
    output = lapse("report", folder / "confidence" / "validate.jsonl", "--out", page, "--cases", 2)
    assert "HTML report in" in output


def test_regions_to_scores(folder):
    out = folder / "regions.jsonl"
    lapse("predict", folder / "pretrain", "--data", folder / "store", "--tasks", "caref,gcap",
          "--limit", 8, "--out", out)  # fmt: skip
    output = lapse("evaluate", out, "--out", folder / "regions.json", "--data", folder / "store")
    assert "mean box |" in output
    assert "no image-blind baselines" in lapse("evaluate", out, "--out", folder / "regions.json")
    assert "Acc@0.5" in (folder / "regions.json").read_text("utf-8")


def test_answer_prints_the_safety_sentence(folder):
    first, second = sorted((folder / "raw").rglob("*.jpg"))[:2]
    output = lapse("answer", folder / "diffvqa", "--reference", first, "--main", second)
    assert output.startswith("answer: ")
    assert "Research use only" in output


def test_training_a_finished_run_again_changes_nothing(folder):
    before = (folder / "pretrain" / "metrics.jsonl").read_bytes()
    copy = folder / "again"
    shutil.copytree(folder / "pretrain", copy)
    lapse(
        "train", "pretrain-tiny", ENCODER, "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",
        "train.precision=fp32", "train.steps=3",
        *TRAIN, "--data", folder / "store", "--out", copy,
    )  # fmt: skip
    assert (copy / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "nowhere", "out"], "nowhere"),
        (["prepare", "one"], "output folder"),
        (["train", "pretrain-tny", "--data", "x", "--out", "y"], "pretrain-tiny"),
        (["train", "pretrain-tiny", "--data", "no_store", "--out", "y"], "no_store"),
        (["predict", "no_run", "--data", "x"], "no_run"),
        (["evaluate", "no_file.jsonl"], "no_file.jsonl"),
        (["simulate", "out", "--visits", "4-2"], "first <= last"),
        (["predict", "no_run", "--data", "x", "--probe", "swpa"], "'acquisition'"),
        (["calibrate", "no_file.jsonl"], "no_file.jsonl"),
        (["report", "no_file.jsonl"], "no_file.jsonl"),
        (["answer", "no_run", "--reference", "a.png", "--main", "b.png"], "no_run"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(arguments, message, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lapse", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "error" in error.lower() and message in error
    assert "Traceback" not in error
