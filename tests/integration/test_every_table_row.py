"""Every row of Tables 1 to 6 runs in one go: the real tables and presets, with models of no size.

Only sizes and lengths differ from `lapse table experiments/table*.yaml`. Minutes, so marked slow.
"""

from pathlib import Path

import pytest

import tiny_store
from lapse.config import load_config
from lapse.workflows.paper_tables.run import TableOptions, run_table
from lapse.workflows.paper_tables.spec import read_table

FILES = sorted((Path(__file__).parents[2] / "experiments").glob("table*.yaml"))
SIDES = {128: 32, 64: 16}  # of the tiny presets -> of the stores here
BLOCK = "width: 16, layers: 1, heads: 2"
# Key of a model's options -> what makes it small, wherever a preset has that key.
SMALL = {
    "residual": f"{{image_size: 32, patch_size: 8, channels: 1, {BLOCK}, mlp_width: 32}}",
    "language_model": f"{{{BLOCK}, max_positions: 384, dropout: 0.0}}",
    "decoder": f"{{{BLOCK}, mlp_width: 32, max_tokens: 160}}",
    "text": f"{{{BLOCK}, mlp_width: 32, max_tokens: 164}}",
    "qformer": f"{{queries: 3, {BLOCK}, mlp_width: 32, max_tokens: 164, dropout: 0.0}}",
    "adapter_width": 16,
    "embedding_width": 8,
    "words": 16,
    "width": 16,
    "heads": 2,
    "layers": 1,
    "report_tokens": 16,
}
LOOP = ["train.epochs=null", "train.steps=2", "train.eval_every=1", "train.eval_samples=8",
        "train.save_every=1", "generation={num_beams: 2, max_new_tokens: 6}"]  # fmt: skip
pytestmark = pytest.mark.slow


def small(preset, changes=()):
    """The same preset with the same changes, and then without size."""
    config = load_config(preset, changes)
    made = [*changes, *LOOP]
    if "encoder" in config.model:
        side = SIDES[config.model["encoder"]["image_size"]]
        encoder = f"image_size: {side}, patch_size: 8, channels: 1, {BLOCK}, mlp_width: 32"
        made.append(f"model.encoder={{{encoder}}}")
    if config.data.tasks == ("cap",):  # contrast wants as many images as texts, and 16 are there
        made.append("train.batch_size=8")
    made += [f"model.{key}={value}" for key, value in SMALL.items() if key in config.model]
    return load_config(preset, made)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder, side = tmp_path_factory.mktemp("every-row"), tiny_store.SIDE
    found = [tiny_store.write(folder / "s32")]
    tiny_store.SIDE = 16
    found.append(tiny_store.write(folder / "s16"))
    tiny_store.SIDE = side
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row_trains_answers_and_is_scored(path, stores, monkeypatch):
    monkeypatch.setattr("lapse.workflows.paper_tables.spec.load_config", small)
    out = stores[0].parent / "tables"
    rows = run_table(path.stem, read_table(path), stores, out, TableOptions())
    assert [f"{row.row.key}: {row.reason}" for row in rows if row.reason] == []
    for kind in ("md", "csv", "html"):
        assert (out / f"{path.stem}.{kind}").stat().st_size > 500
    assert all(len(row.scores) == 1 and len(row.curve) >= 2 for row in rows)
