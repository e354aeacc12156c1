"""Stores and model sizes of a table. tests/integration/test_tables.py runs complete tables."""

import pytest

from lapse.workflows.paper_tables.plan import StoreRef, TableOptions
from lapse.workflows.paper_tables.run import (
    count_parameters,
    open_stores,
    plan_tables,
    run_tables,
)
from lapse.workflows.paper_tables.settings import parse_settings
from lapse.workflows.paper_tables.spec import read_table
from small_table import ROWS, spec


def test_two_stores_of_one_size_are_refused(data):
    with pytest.raises(ValueError, match="both hold 32 px images"):
        open_stores([data, data])
    with pytest.raises(ValueError, match="a table needs data"):
        open_stores([])


def test_a_store_of_another_size_is_an_error_before_anything_runs(data, tmp_path):
    other = spec(tiny={}, rows=ROWS[:1])  # 128 px, and the store holds 32 px
    with pytest.raises(ValueError, match=r"t, rows ours: .*reads 128 px images.*32 px.*--row"):
        run_tables({"t": other}, [data], tmp_path / "out")
    stores = open_stores([data])
    stores[64] = StoreRef(data, "another")
    with pytest.raises(ValueError, match="holds 64 px images, and the runs read 32 px"):
        plan_tables({"t": spec()}, tmp_path, stores, TableOptions())
    assert not (tmp_path / "out").exists()


def test_a_setting_that_no_run_has_is_an_error(data, tmp_path):
    options = TableOptions(settings=parse_settings(["train.stepz=3"]))
    message = r"no run has the key 'train\.stepz'; did you mean 'train\.s"
    with pytest.raises(ValueError, match=message):
        plan_tables({"t": spec()}, tmp_path, open_stores([data]), options)
    options = TableOptions(settings=parse_settings(["pretrain:model.temporal=image"]))
    with pytest.raises(ValueError, match=r"no run of stage pretrain has the key 'model\.temporal'"):
        plan_tables({"t": spec()}, tmp_path, open_stores([data]), options)


def test_parameters_are_counted_at_the_scale_of_the_paper():
    ours, *_ = read_table("table2").rows
    (pretrain, _), (diffvqa, trained) = count_parameters(ours)
    assert round(pretrain / 1e6) == 669 and round(diffvqa / 1e6) == 775 and trained < diffvqa
    missing = ours.model_copy(update={"paper": ("pretrain-unknown",)})
    assert count_parameters(missing) == ()
