"""The commands of the tutorial on real films run in order, on a small simulated tree."""

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.data.store.store import open_store

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "real-films-today.md"
ENCODER = (
    '"model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, '
    'mlp_width: 32}"'
)
LOOP = "train.steps=2 train.batch_size=4 train.eval_samples=4 train.precision=fp32"
DECODER = '"model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160}"'
WRITER = '"model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}"'
SIZES = (
    *LOOP.split(),
    ENCODER,
    DECODER,
    WRITER,
    "pretrain:model.adapter_width=16",
)
SMALLER = {
    "--patients 160 --seed 1 --size 160": "--patients 14 --seed 1 --size 64 --visits 2-3",
    "--size 128": "--size 32 --workers 0",
    "train.steps=200": LOOP,
    "train pretrain-tiny": f"train pretrain-tiny {ENCODER} model.adapter_width=16 {DECODER}",
    "train diffvqa-tiny": f"train diffvqa-tiny {ENCODER} {WRITER}",
    "--split test": "--split test --num-beams 1",
    "--out boxes.jsonl": "--out boxes.jsonl --tasks aref",  # gcap is scored in Java
    "lapse evaluate": "lapse evaluate --no-java",
    "--out tables": "--out tables " + " ".join(f"--set {words}" for words in SIZES),
}
TABLES = ("films-boxes", "films-changes")
REMARK = "about 85% of NIH change labels are not confirmed by expert readers"


def test_from_an_open_download_to_scored_runs(tmp_path, monkeypatch):
    text = PAGE.read_text("utf-8")
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(tmp_path)
    output = {}
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            _, *words = shlex.split(line)
            done = CliRunner().invoke(app, words, catch_exceptions=False)
            assert done.exit_code == 0, f"{line}\n{done.output}"
            output.setdefault(words[0], []).append(done.output)
    counts = {name: len(texts) for name, texts in output.items()}
    assert counts == {"simulate": 1, "verify": 1, "prepare": 1, "train": 2, "predict": 2,
                      "evaluate": 2, "table": 1}  # fmt: skip
    assert "films-boxes: 2 of 2 rows" in output["table"][0]
    assert "films-changes: 3 of 3 rows" in output["table"][0]
    for name in TABLES:
        assert REMARK in (tmp_path / "tables" / f"{name}.md").read_text("utf-8")
    of_pairs, of_boxes = output["evaluate"]
    assert "expert_changes" in of_pairs and "diff_vqa" in of_pairs and "Acc@0.5" in of_boxes
    assert of_pairs.count(REMARK) == 2 and of_boxes.count(REMARK) == 1  # once per task
    scores = json.loads((tmp_path / "runs/diffvqa/predictions-test.scores.json").read_text("utf-8"))
    assert REMARK in scores["provenance"]["remark"]
    assert "infiltration read as lung opacity" in scores["provenance"]["data release"]
    done = CliRunner().invoke(app, ["report", "runs/diffvqa/predictions-test.jsonl"])
    assert done.exit_code == 0
    assert REMARK in (tmp_path / "runs/diffvqa/report.html").read_text("utf-8")
    store = open_store(tmp_path / "store")
    evaluated = {pair.main.patient for pair in store.pairs_of("test", "expert_changes")}
    trained = {study.patient for study in store.studies_of("train")}
    assert evaluated and trained and not evaluated & trained
