"""The commands of the README run, on simulated files and with small models."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from transformers import GPT2Config, GPT2LMHeadModel
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.config import preset_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# Overrides that make the commands small enough for a test.
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
TRAIN = [
    "train.epochs=null",
    "train.precision=fp32",
    "train.steps=2",
    "train.num_workers=0",
    "train.eval_samples=8",
]


def shell_blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)


def commands(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, str]:
    """Path in README.md -> path of this test."""
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


def run(words: list[str]) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def replace_paths(word: str, paths: dict[str, str]) -> str:
    for old, new in paths.items():
        word = word.replace(old, new)
    return "32" if word == "448" else word


def test_the_commands_for_own_data_run(paths):
    (block,) = [block for block in shell_blocks() if "lapse prepare" in block]
    names = []
    for program, *words in commands(block):
        if program != "lapse":
            assert program == "pip"
            continue
        words = [replace_paths(word, paths) for word in words]
        if words[0] == "train":
            words += [*SMALL[words[1]], *TRAIN]
        output = run(words)
        names.append(words[0])
        if words[0] == "train" and "diffvqa" in words[1]:
            assert "gpt2" in output  # the source of the weights
    assert names == [
        *("verify", "prepare", "train", "train", "train"),
        *("predict", "predict", "evaluate", "answer"),
    ]


def test_the_two_make_commands_are_shown():
    words = [words for block in shell_blocks() for words in commands(block)]
    assert [target for program, target, *_ in words if program == "make"] == ["demo", "test"]


@pytest.mark.parametrize(
    "file",
    [
        *("README.md", "CONTRIBUTING.md", ".ci/run"),
        *(f".github/workflows/{name}.yml" for name in ("check", "test", "docs", "release")),
    ],
)
def test_make_targets_exist(file):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = (ROOT / file).read_text("utf-8")
    for line in re.findall(r"^(?:\s*- run: )?make ([a-z -]+)", text, flags=re.MULTILINE):
        for target in line.split():
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_workflows_and_issue_templates_are_yaml():
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) == 8
    for path in files:
        assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict), path


def test_links_and_presets_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), f"README.md links to {target}"
    presets = re.findall(r"`((?:pretrain|diffvqa)-[a-z]+)`", README)
    assert presets and set(presets) <= set(preset_names())
