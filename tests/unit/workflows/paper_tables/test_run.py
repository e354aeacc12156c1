"""Stores and model sizes of a table. tests/integration/test_tables.py runs complete tables."""

import pytest

from lapse.workflows.paper_tables.run import count_parameters, open_stores
from lapse.workflows.paper_tables.spec import read_table


def test_two_stores_of_one_size_are_refused(data):
    with pytest.raises(ValueError, match="both hold 32 px images"):
        open_stores([data, data])
    with pytest.raises(ValueError, match="a table needs data"):
        open_stores([])


def test_parameters_are_counted_at_the_scale_of_the_paper():
    ours, *_ = read_table("table2").rows
    (pretrain, _), (diffvqa, trained) = count_parameters(ours)
    assert round(pretrain / 1e6) == 669 and round(diffvqa / 1e6) == 775 and trained < diffvqa
    missing = ours.model_copy(update={"paper": ("pretrain-unknown",)})
    assert count_parameters(missing) == ()
