"""The recipes of CONTRIBUTING.md run as written, on a small store and with small models."""

import importlib
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.inference import probes
from lapse.inference.predict import PredictOptions, predict
from lapse.metrics import consistency

GUIDE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
EDEMA = "the main image has an additional finding of edema than the reference image."
GPT2 = "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 160}"
TRAIN = ["train.precision=fp32", "train.steps=2", "train.eval_every=2", "train.eval_samples=4"]
# What makes the runs of a preset or file small enough for a test.
SMALLER = {
    "pretrain-tiny": [
        *(ENCODER, "model.adapter_width=16"),
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 256}",
    ],
    "diffvqa-tiny": [ENCODER, GPT2],
    "grey-level.yaml": [ENCODER],
    "mean-token.yaml": [ENCODER, GPT2, "generation={num_beams: 2, max_new_tokens: 4}"],
}


def recipe(title: str) -> list[tuple[str, str]]:
    """(language, text) of every code block below a heading."""
    (section,) = re.findall(rf"### {title}.*?\n(.*?)(?=\n##)", GUIDE, flags=re.DOTALL)
    blocks = re.findall(r"```(\w+)\n(.*?)```", section, flags=re.DOTALL)
    assert blocks, title
    return blocks


def run(words: list[str]) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, f"{words}\n{done.output}"
    return done.output


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    run(["simulate", f"{folder}/raw", "--patients", "14", "--size", "96", "--visits", "2-2"])
    run(["prepare", f"{folder}/raw", f"{folder}/store", "--size", "32"])
    return folder / "store"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder for a recipe's files, on the path; its modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def follow(title: str, workspace: Path, store: Path) -> str:
    """Write the files of a recipe and run its commands; returns the output of the last one."""
    output = ""
    for language, text in recipe(title):
        if language == "sh":
            for line in text.splitlines():
                output = run_line(line, store)
        else:
            name = re.match(r"# (\S+)\n", text)[1]
            (workspace / name).parent.mkdir(exist_ok=True)
            (workspace / name).write_text(text, "utf-8")
    return output


def run_line(line: str, store: Path) -> str:
    program, *words = (str(store) if word == "STORE" else word for word in shlex.split(line))
    if program == "python":
        assert words[0] == "-m"
        importlib.import_module(words[1]).main(*words[2:], size=32)
        return ""
    assert program == "lapse"
    command = 2 if words[0] == "--allow" else 0
    if words[command] == "train":
        words += [*SMALLER[Path(words[command + 1]).name], *TRAIN]
    if words[command] == "predict":
        words += ["--limit", "4"]
    return run(words)


def test_a_task(workspace, store):
    follow("Add a task", workspace, store)
    predictions = read_predictions(workspace / "runs" / "view" / "predictions-test.jsonl")
    assert {item.task for item in predictions} == {"view"}
    assert {item.references[0].strip() for item in predictions} <= {"PA", "AP"}


def test_a_pretraining_method(workspace, store):
    follow("Add a pretraining method", workspace, store)
    text = (workspace / "runs" / "diffvqa" / "initialization.json").read_text("utf-8")
    assert "grey-level" in text


def test_a_vqa_system(workspace, store):
    output = follow("Add a VQA system", workspace, store)
    assert "change F1" in output
    predictions = read_predictions(workspace / "runs" / "mean-token" / "predictions-test.jsonl")
    assert all("answer" in item.confidence for item in predictions)


def test_a_dataset(workspace, store):
    (workspace / "IMAGES").mkdir()
    lines = ["patient,file,date,split,report"]
    for number, split in enumerate(("train", "train", "validate", "test")):
        pixels = np.tile(np.roll(np.arange(0, 250, 5, np.uint8), 9 * number), (40, 1))
        Image.fromarray(pixels).save(workspace / "IMAGES" / f"image{number}.png")
        lines.append(f"p{number},image{number}.png,2020-01-0{number + 1},{split},No edema.")
    lines.append("p9,gone.png,2020-01-09,train,No edema.")
    (workspace / "IMAGES" / "studies.csv").write_text("\n".join(lines) + "\n", "utf-8")
    follow("Add a dataset", workspace, store)
    own = open_store(workspace / "mystore")
    assert [study.id for study in own.studies] == [f"image{number}" for number in range(4)]
    assert not np.array_equal(own.pixels("image1"), own.pixels("image2"))
    assert (workspace / "runs" / "mine" / "config.yaml").is_file()


def test_a_metric(workspace, store):
    rows = [
        Prediction(f"diff_vqa/{number}", "diff_vqa", "no edema", ("no edema at all",), f"p{number}")
        for number in range(3)
    ]
    write_predictions(workspace / "predictions.jsonl", rows)
    output = follow("Add a metric", workspace, store)
    assert "| length ratio | 0.500 [0.500, 0.500] (" in output
    scores = json.loads((workspace / "predictions.scores.json").read_text("utf-8"))["scores"][
        "diff_vqa"
    ]
    assert scores["length ratio"]["details"]["words"] == "split at blanks"


def test_a_probe(workspace, store, monkeypatch):
    follow("Add a probe", workspace, store)
    own = importlib.import_module("my_package.probes")
    monkeypatch.setitem(probes.PROBES, "reference-twice", own.reference_twice)
    monkeypatch.setitem(consistency.RATES, "reference-twice", own.unchanged_rate)
    train = ["train", "diffvqa-tiny", *SMALLER["diffvqa-tiny"], *TRAIN, "--data", str(store)]
    run([*train, "--out", "run", "generation={num_beams: 1, max_new_tokens: 4}"])
    options = PredictOptions(limit=4)
    plain = list(predict(Path("run"), store, "test", options))
    probe_options = PredictOptions(limit=4, probe="reference-twice")
    probed = list(predict(Path("run"), store, "test", probe_options))
    texts = ["nothing has changed.", EDEMA] * 2  # those of an untrained model cannot be read
    probed = [replace(item, prediction=text) for item, text in zip(probed, texts, strict=False)]
    assert [item.id for item in probed] == [f"{item.id}#reference-twice" for item in plain]
    assert {item.references for item in probed} == {("nothing has changed.",)}
    plain = [replace(item, prediction=EDEMA) for item in plain]
    scores = consistency.consistency(plain, probed)
    assert scores["reference twice"].value == pytest.approx(
        np.mean([item.prediction == "nothing has changed." for item in probed])
    )
