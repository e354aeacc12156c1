"""The whole path on files: simulate, prepare, train both stages, predict, evaluate, answer."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from lapse.cli import main as cli
from lapse.cli.main import app

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
LOOP = ["train.batch_size=8", "train.eval_samples=8", "train.eval_every=2"]


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with raw trees, a store and one run of each stage, made by the commands."""
    folder = tmp_path_factory.mktemp("path")
    lapse("simulate", folder / "raw", "--patients", 14, "--size", 96, "--visits", "2-2")
    lapse("prepare", folder / "raw", folder / "store", "--size", 32)
    lapse(
        "train", "pretrain-tiny", ENCODER, "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",
        "train.steps=3", *LOOP, "--data", folder / "store", "--out", folder / "pretrain",
    )  # fmt: skip
    lapse(
        "train", "diffvqa-tiny", ENCODER, f"init_encoder={folder / 'pretrain'}",
        "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}",
        "train.steps=3", *LOOP, "--data", folder / "store", "--out", folder / "diffvqa",
    )  # fmt: skip
    return folder


def test_disk_to_scores(made):
    lapse(
        "predict", made / "diffvqa", "--data", made / "store", "--split", "test", "--num-beams", 2
    )
    predictions = made / "diffvqa" / "predictions-test.jsonl"
    twin = made / "diffvqa" / "twin.jsonl"
    shutil.copy(predictions, twin)
    said = lapse("evaluate", predictions, "--data", made / "store", "--compare-with", twin)
    assert "| constant answer | nothing has changed | random training answer |" in said
    scores = json.loads((made / "diffvqa" / "scores.json").read_text("utf-8"))
    text = json.dumps(scores)
    for needed in ("diff_vqa", "BLEU-4", "METEOR", "CIDEr", "unparsed rate", "patient-safe"):
        assert needed in text
    beside = scores["comparisons"]
    assert list(beside) == [
        str(twin),
        "constant answer",
        "nothing has changed",
        "random training answer",
    ]
    assert beside[str(twin)] == scores["scores"]
    lines = predictions.read_text("utf-8").splitlines()
    twin.write_text("\n".join(lines[1:]), "utf-8")
    with pytest.raises(ValueError, match=f"{len(lines) - 1} shared with the {len(lines)}"):
        lapse("evaluate", predictions, "--compare-with", twin)
    assert lines and all(json.loads(line)["task"] == "diff_vqa" for line in lines)


def test_probes_sureness_and_report(made):
    store, run = made / "store", made / "diffvqa"
    common = [run, "--data", store, "--num-beams", 2]
    plain, page = made / "sure" / "test.jsonl", made / "sure" / "page.html"
    lapse("predict", *common, "--confidence", "clauses", "--out", plain)
    lapse("predict", *common, "--probe", "swap", "--probe", "identity", "--out", plain)
    validation = made / "sure" / "validate.jsonl"
    lapse("predict", *common, "--split", "validate", "--confidence", "beam", "--out", validation)
    said = lapse("calibrate", validation, "--alpha", 0.5, "--num-resplits", 3)
    assert "limit 0.5" in said and "3 resplits by patient: mean " in said
    threshold = made / "sure" / "threshold.json"
    probes = ["--probe", made / "sure" / "test.swap.jsonl"]
    probes += ["--probe", made / "sure" / "test.identity.jsonl"]
    said = lapse("evaluate", plain, "--data", store, *probes, "--threshold", threshold)
    assert "| swap law |" in said and "| identity |" in said and "| false-change rate |" in said
    said = lapse("report", plain, "--data", store, "--threshold", threshold, "--out", page)
    assert "no scores" not in said
    text = page.read_text("utf-8")
    assert "Research use only" in text and "With abstention" in text and "swap law" in text
    assert "data:image/jpeg;base64," in text
    without = lapse("report", made / "sure" / "validate.jsonl", "--out", page, "--cases", 2)
    assert "HTML report in" in without


def test_regions_to_scores(made):
    out = made / "regions.jsonl"
    lapse("predict", made / "pretrain", "--data", made / "store", "--tasks", "caref,gcap",
          "--limit", 8, "--out", out)  # fmt: skip
    said = lapse("evaluate", out, "--out", made / "regions.json", "--data", made / "store")
    assert "mean box |" in said
    assert "no image-blind baselines" in lapse("evaluate", out, "--out", made / "regions.json")
    assert "Acc@0.5" in (made / "regions.json").read_text("utf-8")


def test_answer_names_the_safety_sentence(made):
    first, second = sorted((made / "raw").rglob("*.jpg"))[:2]
    output = lapse("answer", made / "diffvqa", "--reference", first, "--main", second)
    assert output.startswith("answer: ")
    assert "Research use only" in output


def test_the_same_command_again_says_that_it_is_done(made):
    before = (made / "pretrain" / "metrics.jsonl").read_bytes()
    copy = made / "again"
    shutil.copytree(made / "pretrain", copy)
    lapse(
        "train", "pretrain-tiny", ENCODER, "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}",
        "train.steps=3", *LOOP, "--data", made / "store", "--out", copy,
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


@pytest.mark.parametrize(
    "command",
    [
        "simulate",
        "prepare",
        "train",
        "predict",
        "evaluate",
        "calibrate",
        "report",
        "answer",
        "demo",
    ],
)
def test_every_command_has_help(command):
    assert command in lapse("--help")
    assert "--help" in lapse(command, "--help")
