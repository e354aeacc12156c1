"""Tokenized datasets: rows, left out records, and selections of rows."""

from dataclasses import replace

import pytest

import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import encode_sample
from lapse.data.loading.records import load_tasks
from lapse.data.loading.tokenized_dataset import select_indices, sort_by_prompt_length
from lapse.data.store.store import open_store
from tiny_loading import tokenize


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("loading") / "store"))


def test_a_row_has_the_tokens_of_its_sample(store):
    dataset = tokenize(store.studies_of("train"))
    assert (len(dataset), dataset.num_rows) == (16, 16 * (1 + 4 + 4 + 4))
    tokenizer = Tokenizer()
    for row in range(dataset.num_rows):
        assert dataset.text(row) == encode_sample(dataset.sample(row), tokenizer, 96)
    sample = dataset.sample(dataset.rows(3, 2)[1])
    assert sample == dataset.sample_of(dataset.record(3), 2, 1)


def test_records_without_a_task_are_left_out_and_counted(store):
    studies = list(store.studies_of("train"))
    dataset = tokenize([replace(studies[0], report="", impression="", id="empty"), *studies])
    assert len(dataset) == len(studies)
    assert dataset.missing == {"cap": 1, "aref": 0, "gcap": 0, "caref": 0}
    assert "train: 1 records have no cap sample and are left out" in dataset.summary("train")


def test_long_texts_are_truncated_and_counted_and_long_prompts_refused(store):
    dataset = tokenize(store.studies_of("train"), ("cap",), max_tokens=8)
    assert dataset.num_truncated == len(dataset)
    assert len(dataset.text(0).ids) == 8
    with pytest.raises(ValueError, match=r"raise data\.max_tokens"):
        tokenize(store.studies_of("train"), ("gcap",), max_tokens=8)


def test_required_tasks_select_records_and_give_no_rows(store):
    studies = list(store.studies_of("train"))
    studies[0] = replace(studies[0], regions=())
    required = load_tasks(("caref",), tiny_store.SIDE)
    dataset = tokenize(studies, ("cap",), required_tasks=required)
    assert len(dataset) == dataset.num_rows == len(studies) - 1
    assert dataset.missing == {"cap": 0, "caref": 1}


def test_max_records_takes_the_first_usable_ones(store):
    dataset = tokenize(store.studies_of("train"), max_records=4)
    assert dataset.used.tolist() == [0, 1, 2, 3]


def test_selected_indices_are_the_same_in_every_run():
    indices = select_indices(1000, 30)
    assert indices == select_indices(1000, 30) == sorted(set(indices)) and len(indices) == 30
    assert select_indices(7, 30) == list(range(7))


def test_rows_are_sorted_by_the_length_of_their_prompt(store):
    dataset = tokenize(store.studies_of("validate"))
    ordered = sort_by_prompt_length(dataset, range(dataset.num_rows))
    lengths = [dataset.text(row).prompt for row in ordered]
    assert lengths == sorted(lengths) and sorted(ordered) == list(range(dataset.num_rows))
