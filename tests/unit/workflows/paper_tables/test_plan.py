"""A table as a plan: equal runs are shared, seeds change the last run, errors are clear."""

from pathlib import Path

import pytest

from lapse.workflows.paper_tables.plan import StoreRef, TableOptions, plan
from lapse.workflows.paper_tables.settings import LanguageModelChoice, parse_settings
from lapse.workflows.paper_tables.spec import TableSpec, read_table

STORES = {128: StoreRef(Path("s128"), "f128"), 64: StoreRef(Path("s64"), "f64")}

TABLES = [f"table{number}" for number in range(1, 7)]


def spec(**changes) -> TableSpec:
    rows = [
        {"key": "ours", "name": "Ours", "paper": ["pretrain-lapse", "diffvqa-lapse"],
         "tiny": ["pretrain-tiny", "diffvqa-tiny"]},
        {"key": "real", "name": "ReAL", "paper": ["pretrain-lapse", "diffvqa-real"],
         "tiny": ["pretrain-tiny", "diffvqa-real-tiny"]},
        {"key": "plural", "name": "PLURAL", "paper": ["pretrain-lapse"],
         "tiny": ["pretrain-tiny", "diffvqa-plural-report-tiny", "diffvqa-plural-tiny"]},
        {"key": "constant", "name": "Constant", "paper": ["diffvqa-constant"],
         "tiny": ["diffvqa-constant"], "own_length": True},
        {"key": "other", "name": "No such", "paper": ["x"], "tiny": ["pretrain-other-tiny"]},
    ]  # fmt: skip
    values = {
        "title": "Table 9: rows", "section": "0", "tasks": ["diff_vqa"],
        "columns": {"BLEU-4": "diff_vqa/BLEU-4"}, "ours": "ours",
        "tiny": {"pretrain": ["train.steps=3"], "diffvqa": ["train.steps=2"]}, "rows": rows,
    }  # fmt: skip
    return TableSpec.model_validate(values | changes)


def planned(**options):
    rows = plan(spec(), Path("out"), STORES, TableOptions(**options))
    return {(item.row.key, item.seed): item for item in rows}


def test_equal_runs_are_one_and_seeds_change_the_last_only():
    rows = planned(seeds=2)
    first = {key: item.runs[0].key for key, item in rows.items() if len(item.runs) > 1}
    assert len(set(first.values())) == 1 and len(first) == 6
    last = [item.runs[-1].key for item in rows.values() if item.runs]
    assert len(set(last)) == len(last) == 8
    again = planned(seeds=1)
    assert again["real", 0].runs == rows["real", 0].runs


def test_each_run_begins_with_the_one_before():
    pretrain, report, answer = planned()["plural", 0].runs
    assert (report.parent, answer.parent) == (pretrain.key, report.key)
    assert report.config.init_encoder == f"out/runs/{pretrain.key}"
    assert answer.config.init_model == f"out/runs/{report.key}"
    assert report.config.init_model is None and answer.config.init_encoder is None
    assert pretrain.config.train.steps == 3 and answer.config.train.steps == 2


def test_the_key_depends_on_configuration_data_and_parent_but_not_on_the_folder():
    def key(out="out", stores=STORES, **changes):
        rows = plan(spec(**changes), Path(out), stores, TableOptions(only=("ours",)))
        return rows[0].runs[-1].key

    assert key() == key(out="elsewhere")
    assert key() != key(stores={128: StoreRef(Path("s128"), "another")})
    longer = {"pretrain": ["train.steps=4"], "diffvqa": ["train.steps=2"]}
    assert key() != key(tiny=longer)  # only the parent differs
    workers = {"pretrain": ["train.steps=3", "train.num_workers=2"], "diffvqa": ["train.steps=2"]}
    assert key() == key(tiny=workers)


def test_a_row_may_keep_its_own_length():
    (run,) = planned()["constant", 0].runs
    assert run.config.train.epochs == 1 and run.config.train.steps is None


def test_what_is_missing_is_named():
    rows = planned()
    assert "no preset 'pretrain-other-tiny'" in rows["other", 0].missing
    alone = plan(spec(), Path("out"), {64: STORES[64]}, TableOptions(only=("ours",)))
    assert "reads 128 px images and --data gives 64 px" in alone[0].missing
    with pytest.raises(ValueError, match="no row 'reel'; the rows are ours, real"):
        planned(only=("reel",))


def test_only_keeps_ours_to_compare_with():
    assert [key for key, _ in planned(only=("constant",))] == ["ours", "constant"]


@pytest.mark.parametrize(
    ("name", "scale"),
    [*((name, scale) for name in TABLES for scale in ("tiny", "paper")), ("experiment", "small")],
)
def test_every_row_is_planned(name, scale):
    table = read_table(name)
    stores = {size: StoreRef(Path("s"), "f") for size in (64, 128, 224, 448)}
    rows = plan(table, Path("out"), stores, TableOptions(scale=scale))
    assert [item.missing for item in rows if item.missing] == []


def test_captions_alone_are_one_model_in_tables_2_and_4():
    def runs(name, key, scale):
        (row,) = [row for row in every_row(name, scale) if row.row.key == key]
        return [run.key for run in row.runs]

    for scale in ("tiny", "paper"):
        assert runs("table2", "cappa", scale) == runs("table4", "cap", scale)
        more = runs("table2", "cappa-operations", scale)
        assert more == runs("table4", "cap-operations", scale) != runs("table2", "cappa", scale)
    fractions = {
        row.row.key: row.runs[0].config.data.parallel_fraction for row in every_row("table2")
    }
    assert (fractions["cappa"], fractions["cappa-75"]) == (0.25, 0.75)


def test_rows_of_table_4_read_as_many_texts_as_ours():
    """Equal steps and 32 texts a step, or 33 where three tasks do not divide 32."""
    stores = {size: StoreRef(Path("s"), "f") for size in (128, 448)}
    for scale in ("tiny", "paper"):
        rows = plan(read_table("table4"), Path("out"), stores, TableOptions(scale=scale))
        trains = {row.row.key: row.runs[0].config for row in rows}
        for key in ("no-aref", "no-gcap", "no-caref", "cap"):
            config, ours = trains[key], trains["ours"]
            assert config.train.batch_size in (32, 33)
            images, reference = (
                item.train.batch_size // len(item.data.tasks) for item in (config, ours)
            )
            if scale == "tiny":
                assert config.train.steps == ours.train.steps
            else:  # steps of an epoch fall as a step has more images
                assert config.train.epochs / images == ours.train.epochs / reference


@pytest.mark.parametrize("name", ["table2", "table4", "table5", "table6"])
def test_seeds_change_both_stages_and_pair_the_rows(name):
    rows = {(row.row.key, row.seed): row for row in every_row(name, seeds=2)}
    for (key, seed), row in rows.items():
        assert {run.config.train.seed for run in row.runs} == {seed}, key


def every_row(name, scale="tiny", seeds=1):
    stores = {size: StoreRef(Path("s"), "f") for size in (64, 128, 224, 448)}
    return plan(read_table(name), Path("out"), stores, TableOptions(scale=scale, seeds=seeds))


def test_settings_and_weights_reach_the_runs_that_have_the_key():
    settings = parse_settings(["train.steps=7", "diffvqa:optim.clip_norm=2.0"])
    sizes = {"width": 192, "layers": 4, "heads": 6}
    rows = planned(settings=settings, language_model=LanguageModelChoice("/gpt2", sizes))
    pretrain, answer = (run.config for run in rows["ours", 0].runs)
    assert (pretrain.train.steps, pretrain.optim.clip_norm) == (7, 1.0)
    assert (answer.train.steps, answer.optim.clip_norm) == (7, 2.0)
    assert answer.model["language_model"]["weights"] == "/gpt2"
    (constant,) = rows["constant", 0].runs  # keeps its length
    assert (constant.config.train.epochs, constant.config.train.steps) == (1, None)
    other = planned(language_model=LanguageModelChoice("/gpt2", {**sizes, "width": 64}))
    assert other["ours", 0].runs[1].config.model["language_model"]["weights"] is None


def test_a_missing_image_size_is_stated():
    row, *_ = plan(spec(), Path("out"), {64: STORES[64]}, TableOptions(only=("ours",)))
    assert row.lacks_store


def test_a_chain_takes_the_whole_model_only_from_a_run_of_it(tmp_path):
    rows = plan(read_table("table2"), tmp_path, STORES, TableOptions(scale="tiny"))
    (rgag,) = (row for row in rows if row.row.key == "rgag-published")
    sources = [(run.config.init_encoder, run.config.init_model) for run in rgag.runs]
    folders = [f"{tmp_path}/runs/{run.key}" for run in rgag.runs]
    assert sources == [(None, None), (folders[0], None), (folders[1], None), (None, folders[2])]


def experiment(**changes):
    return TableSpec.model_validate(
        {
            "title": "t",
            "section": "s",
            "tasks": ["diff_vqa"],
            "ours": "one",
            "small_limit": 7,
            "small": {"pretrain": ["train.steps=3"]},
            "rows": [{"key": "one", "name": "One", "small": ["pretrain-small", "diffvqa-small"]}],
            **changes,
        }
    )


@pytest.mark.parametrize(("seed_stages", "num_encoders"), [("last", 1), ("all", 3)])
def test_seeds_of_the_last_run_or_of_every_run(seed_stages, num_encoders, tmp_path):
    spec = experiment(seed_stages=seed_stages)
    rows = plan(spec, tmp_path, STORES, TableOptions(scale="small", seeds=3))
    assert [row.seed for row in rows] == [0, 1, 2]
    assert len({row.runs[0].key for row in rows}) == num_encoders
    assert len({row.runs[1].key for row in rows}) == 3
    assert rows[0].runs[0].config.train.steps == 3
    assert (spec.limit("small"), spec.limit("paper")) == (7, None)


def test_a_row_without_presets_at_a_scale_says_so(tmp_path):
    (row,) = plan(experiment(), tmp_path, STORES, TableOptions())
    assert row.runs == () and row.missing == "row 'one' has no presets at the tiny scale"
    with pytest.raises(ValueError, match="row 'one' has no presets: give paper, small or tiny"):
        experiment(rows=[{"key": "one", "name": "One"}])
