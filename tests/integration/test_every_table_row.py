"""Every row of Tables 1 to 6 runs: the tables and presets of the package with minimal models.

Only sizes and lengths differ from `lapse table table1 ... table6`. About a minute, so marked slow.
"""

import pytest

import tiny_store
from lapse.config import load_config
from lapse.workflows.paper_tables.plan import TableOptions
from lapse.workflows.paper_tables.run import run_tables
from lapse.workflows.paper_tables.spec import read_table, table_names

TWO_SIZES = ("table5", "experiment")  # the others read 128 px only
IMAGE_SIZES = {128: 32, 64: 16}  # of the tiny presets -> of the stores here
BLOCK = "width: 16, layers: 1, heads: 2"
# Key of a model's options -> small value, for presets that have the key.
SMALL = {
    "residual": f"{{image_size: 32, patch_size: 8, channels: 1, {BLOCK}, mlp_width: 32}}",
    "language_model": f"{{{BLOCK}, max_positions: 384, dropout: 0.0}}",
    "decoder": f"{{{BLOCK}, mlp_width: 32, max_tokens: 160}}",
    "text": f"{{{BLOCK}, mlp_width: 32, max_tokens: 164}}",
    "qformer": f"{{queries: 3, {BLOCK}, mlp_width: 32, max_tokens: 164, dropout: 0.0}}",
    "ofa": f"{{{BLOCK}, mlp_width: 32, side: 4, max_tokens: 160}}",
    "finding_head": "{hidden: 16}",
    "writer_width": 16,
    "word_width": 16,
    "pooling_width": 16,
    "sample_patches": 3,
    "adapter_width": 16,
    "embedding_width": 8,
    "words": 16,
    "width": 16,
    "heads": 2,
    "layers": 1,
    "report_tokens": 16,
}
LOOP = ["train.epochs=null", "train.precision=fp32", "train.steps=2",
        "train.eval_every=1", "train.eval_samples=8",
        "train.save_every=1", "generation={num_beams: 2, max_new_tokens: 6}"]  # fmt: skip
pytestmark = pytest.mark.slow


def small(preset, changes=()):
    """The same preset with the same changes and minimal sizes."""
    config = load_config(preset, changes)
    made = [*changes, *LOOP]
    if "encoder" in config.model:
        image_size = IMAGE_SIZES[config.model["encoder"]["image_size"]]
        encoder = f"image_size: {image_size}, patch_size: 8, channels: 1, {BLOCK}, mlp_width: 32"
        made.append(f"model.encoder={{{encoder}}}")
    if config.data.tasks == ("cap",):  # contrastive methods need as many images as texts: 16
        made.append("train.batch_size=8")
    made += [f"model.{key}={value}" for key, value in SMALL.items() if key in config.model]
    return load_config(preset, made)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("every-row")
    large = tiny_store.write(folder / "s32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_store, "SIDE", 16)
        return [large, tiny_store.write(folder / "s16")]


# test_real_films_today runs the tables of films, which need a store with expert readers.
@pytest.mark.parametrize("name", [n for n in table_names() if not n.startswith("films")])
def test_every_row_trains_answers_and_is_scored(name, stores, monkeypatch):
    monkeypatch.setattr("lapse.workflows.paper_tables.plan.load_config", small)
    out = stores[0].parent / "tables"
    options = TableOptions(scale="small" if name == "experiment" else "tiny")
    sizes = stores if name in TWO_SIZES else stores[:1]
    rows = run_tables({name: read_table(name)}, sizes, out, options)[name]
    assert [f"{row.row.key}: {row.reason}" for row in rows if row.reason] == []
    for kind in ("md", "csv", "html"):
        assert (out / f"{name}.{kind}").stat().st_size > 500
    assert all(len(row.scores) == 1 and len(row.curve) >= 2 for row in rows)
