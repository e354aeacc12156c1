"""The commands of the README run, on simulated files and with small models."""

import re
import shlex
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.config import preset_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# What makes the commands small enough for a test; nothing else in them is changed.
ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
SMALL = {
    "pretrain-lapse": [
        ENCODER,
        "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 448}",
    ],
    "diffvqa-lapse": [
        ENCODER,
        "model.language_model.width=16",
        "model.language_model.layers=1",
        "model.language_model.heads=2",
        "model.language_model.max_positions=160",
        "generation={num_beams: 2, max_new_tokens: 4}",
    ],
}
LOOP = ["train.epochs=null", "train.steps=2", "train.num_workers=0", "train.eval_samples=8"]


def blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


def commands(block: str) -> list[list[str]]:
    joined = block.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """The README's paths -> files of this test."""
    folder = tmp_path_factory.mktemp("readme")
    raw = folder / "raw"
    run(["simulate", str(raw), "--patients", "14", "--size", "96", "--visits", "2-2"])
    sizes = GPT2Config(vocab_size=50257, n_positions=160, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(sizes).save_pretrained(folder / "gpt2")
    earlier, later = sorted(raw.rglob("*.jpg"))[:2]
    return {
        "/data/": f"{raw}/",
        "store448": str(folder / "store"),
        "runs/": f"{folder}/runs/",
        "/models/gpt2-medium": str(folder / "gpt2"),
        "earlier.dcm": str(earlier),
        "later.dcm": str(later),
    }


def run(arguments: list[str]) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def placed(argument: str, places: dict[str, str]) -> str:
    for theirs, ours in places.items():
        argument = argument.replace(theirs, ours)
    return "32" if argument == "448" else argument


def test_commands_for_own_data_run(places):
    (block,) = [block for block in blocks() if "lapse prepare" in block]
    done = []
    for name, *arguments in commands(block):
        if name != "lapse":
            assert name == "pip"
            continue
        arguments = [placed(argument, places) for argument in arguments]
        if arguments[0] == "train":
            arguments += [*SMALL[arguments[1]], *LOOP]
        output = run(arguments)
        done.append(arguments[0])
        if arguments[0] == "train" and "diffvqa" in arguments[1]:
            assert "gpt2" in output  # the run says where its weights come from
    assert done == [
        *("verify", "prepare", "train", "train", "train"),
        *("predict", "predict", "evaluate", "answer"),
    ]


def test_the_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    found = [words for block in blocks() for words in commands(block) if words[0] == "make"]
    assert [words[1] for words in found] == ["demo", "test"]
    for _, target in found:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_links_and_presets_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), f"README links to {target}"
    named = re.findall(r"`((?:pretrain|diffvqa)-[a-z]+)`", README)
    assert named and set(named) <= set(preset_names())
