"""Public layouts by the commands: raw data -> verify -> prepare -> train -> scores or answers."""

import csv
import json

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.data.store.store import open_store

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
DECODER = "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}"
LANGUAGE = "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}"
LOOP = [
    "train.batch_size=4",
    "train.eval_samples=4",
    "train.eval_every=2",
    "train.precision=fp32",
    "train.steps=2",
]


def lapse(*arguments):
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def prepared(folder, layout, patients=24):
    """A simulated tree, verified and prepared by the same two words as the release."""
    raw, store = folder / layout, folder / f"{layout}-store"
    lapse("simulate", raw, "--layout", layout, "--patients", patients, "--size", 64,
          "--visits", "2-3", "--seed", 4)  # fmt: skip
    assert "simulated data: " in lapse("verify", raw)
    lapse("prepare", raw, store, "--size", 32, "--workers", 0)
    return store


def train(run, store, preset, *more):
    lapse("train", preset, ENCODER, *more, *LOOP, "--data", store, "--out", run)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """PadChest-GR and a run of stage 1 on its reports, phrases and boxes."""
    folder = tmp_path_factory.mktemp("gr")
    store = prepared(folder, "padchest-gr")
    train(folder / "run", store, "pretrain-tiny", "model.adapter_width=16", DECODER)
    return folder / "run", store


def test_padchest_gr_gives_phrases_with_boxes(pretrained, tmp_path):
    run, store = pretrained
    out = tmp_path / "regions.jsonl"
    lapse("predict", run, "--data", store, "--tasks", "aref,caref,gcap", "--out", out)
    assert "Acc@0.5" in lapse("evaluate", out, "--no-java")
    assert "two readers boxed" in open_store(store).info.release


def test_padchest_trains_both_stages_and_padchest_gr_scores_progressions(pretrained, tmp_path):
    run, grounded = pretrained
    store = prepared(tmp_path, "padchest", patients=48)
    vqa = tmp_path / "vqa"
    train(vqa, store, "diffvqa-tiny", f"init_encoder={run}", LANGUAGE)
    lapse("predict", vqa, "--data", store, "--split", "test")
    scores = tmp_path / "scores.json"
    printed = lapse("evaluate", vqa / "predictions-test.jsonl", "--data", store, "--no-java",
                    "--out", scores)  # fmt: skip
    assert "exact match" in printed
    assert "three of four by a program" in scores.read_text("utf-8")
    progressions = tmp_path / "progressions.jsonl"
    lapse("predict", vqa, "--data", grounded, "--split", "test", "--tasks", "progression",
          "--out", progressions)  # fmt: skip
    printed = lapse("evaluate", progressions, "--data", grounded, "--no-java")
    assert "macro accuracy" in printed


def test_chexpert_plus_gives_captions(tmp_path):
    store = prepared(tmp_path, "chexpert-plus", patients=12)
    train(tmp_path / "run", store, "pretrain-tiny", "data.tasks=[cap]", "model.adapter_width=16",
          DECODER)  # fmt: skip
    out = tmp_path / "captions.jsonl"
    lapse("predict", tmp_path / "run", "--data", store, "--split", "validate", "--limit", 4,
          "--max-new-tokens", 8, "--out", out)  # fmt: skip
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(lines) == 4 and all(line["task"] == "cap" for line in lines)


def test_pairs_of_rexgradient_are_answered_without_a_score(pretrained, tmp_path):
    store = prepared(tmp_path, "rexgradient", patients=12)
    train(tmp_path / "run", store, "pretrain-tiny", "data.tasks=[cap]", "model.adapter_width=16",
          DECODER)  # fmt: skip
    with (store / "pairs-to-answer.csv").open(encoding="utf-8") as stream:
        pairs = list(csv.DictReader(stream))
    few = tmp_path / "pairs.csv"
    few.write_text(f"reference,main\n{pairs[0]['reference']},{pairs[0]['main']}\n")
    out = tmp_path / "answers.csv"
    lapse("answer", "--pairs", few, "--csv", out, "--unguarded", "--allow-unusual")
    with out.open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert row["reference"] == pairs[0]["reference"] and not row["error"]
