"""The stream: equal tasks, each image once per batch, and step k from (config, data, k) alone."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

import tiny_model
import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import ParallelForm
from lapse.data.loading.batch_stream import BalancedBatchStream, fixed_batches
from lapse.data.loading.records import load_tasks
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    select_indices,
    sort_by_prompt_length,
)
from lapse.data.store.store import open_store
from tiny_loading import TASKS, same, stream_of, tokenize


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("loader") / "store"))


def ids(batches) -> list[str]:
    return [sample.id for batch in batches for sample in batch.samples]


def test_tasks_are_equal_and_an_image_is_encoded_once(store):
    stream = stream_of(store, data__regions_per_image=2, train__batch_size=32)
    (batch,) = stream.batches(0)
    assert Counter(sample.task for sample in batch.samples) == dict.fromkeys(TASKS, 8)
    assert batch.images.shape == (4, 1, 32, 32)
    for task in ("aref", "gcap", "caref"):
        chosen = [sample.id for sample in batch.samples if sample.task == task]
        assert len(set(chosen)) == 8, "two regions of an image are two different ones"


def test_every_study_once_an_epoch_in_a_new_order_each_time(store):
    stream = stream_of(store)
    orders = []
    for epoch in range(2):
        steps = range(4 * epoch, 4 * epoch + 4)
        caps = [name for k in steps for name in ids(stream.batches(k)) if name.startswith("cap/")]
        assert len(set(caps)) == 16
        orders.append(caps)
    assert orders[0] != orders[1]


def test_epochs_drop_nothing(store):
    stream = stream_of(store, train__steps=None, train__epochs=3, train__batch_size=20)
    assert stream.total_steps == 10  # 3 x 16 records, 5 a step


def test_a_batch_depends_on_its_step_only(store):
    stream = stream_of(store)
    forward = [stream.batches(k) for k in range(6)]
    backward = [stream_of(store).batches(k) for k in reversed(range(6))][::-1]
    for left, right in zip(forward, backward, strict=True):
        assert all(map(same, left, right))
    other = stream_of(store, train__seed=1)
    assert ids(other.batches(0)) != ids(forward[0])


@pytest.mark.parametrize(("world_size", "accumulation"), [(2, 1), (1, 2), (2, 2), (3, 1)])
def test_ranks_and_accumulation_split_the_step(store, world_size, accumulation):
    complete = stream_of(store)
    split = stream_of(store, train__gradient_accumulation_steps=accumulation)
    for k in range(3):
        parts = [ids(split.batches(k, rank, world_size)) for rank in range(world_size)]
        assert all(parts)
        assert [name for part in parts for name in part] == ids(complete.batches(k))


def test_only_captions_are_parallel_at_the_given_rate(store):
    stream = stream_of(store, data__parallel_fraction=0.25)
    seen = [
        (sample.task, flag)
        for k in range(100)
        for batch in stream.batches(k)
        for sample, flag in zip(batch.samples, batch.parallel.tolist(), strict=True)
    ]
    assert not any(flag for task, flag in seen if task != "cap")
    caps = [flag for task, flag in seen if task == "cap"]
    assert len(caps) == 400
    assert 0.17 < sum(caps) / len(caps) < 0.33  # four standard deviations are .087


def test_other_tasks_are_parallel_in_the_form_of_the_configuration(store):
    form = {"parallel_attention": "none", "parallel_prefix": "hidden", "parallel_length": "unknown"}
    stream = stream_of(
        store, data__parallel_fraction=1.0, data__parallel_tasks=["gcap", "aref"],
        **{f"data__{key}": value for key, value in form.items()},
    )  # fmt: skip
    (batch,) = stream.batches(0)
    assert batch.parallel_form == ParallelForm(False, False, False)
    flags = {(s.task, flag) for s, flag in zip(batch.samples, batch.parallel.tolist(), strict=True)}
    assert flags == {("cap", False), ("aref", True), ("gcap", True), ("caref", False)}
    assert stream_of(store).batches(0)[0].parallel_form == ParallelForm()


def test_one_task_is_drawn_for_each_image_and_epoch(store):
    stream = stream_of(store, data__draw_task=True, train__steps=None, train__epochs=12)
    assert stream.total_steps == 12  # 16 records in an epoch, 16 texts a step
    batches = [stream.batches(k)[0] for k in range(12)]
    assert all(len({s.images for s in batch.samples}) == len(batch) == 16 for batch in batches)
    counts = Counter(sample.task for batch in batches for sample in batch.samples)
    assert set(counts) == set(TASKS) and min(counts.values()) > 25  # of 192, expected 48
    tasks = {
        tuple(sample.task for sample in batch.samples if sample.id.endswith("image-000"))
        for batch in batches
    }
    assert len(tasks) > 1  # another epoch draws again


def test_the_loss_may_include_the_prefix(store):
    (plain,), (more,) = (
        stream_of(store, **changes).batches(0) for changes in ({}, {"data__loss_on_prefix": True})
    )
    index = torch.arange(more.tokens.shape[1])
    is_used = index < more.lengths[:, None]
    assert torch.equal(more.loss_mask, is_used & (index > 0))
    assert torch.equal(more.loss_mask & (index >= more.prefix_lengths[:, None]), plain.loss_mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__batch_size": 18}, "not a multiple of 4"),
        (
            {"train__batch_size": 8, "train__gradient_accumulation_steps": 4},
            "too few for 1 ranks x 4",
        ),
    ],
)
def test_uneven_batches_are_refused(store, changes, message):
    with pytest.raises(ValueError, match=message):
        stream_of(store, **changes).batches(0)


def test_nothing_to_train_on_is_an_error(store):
    config = tiny_model.config()
    with pytest.raises(ValueError, match="no record has a sample of every task"):
        BalancedBatchStream(tokenize([]), store.pixels, config)


def test_max_records_limits_the_records_of_all_steps(store):
    stream = stream_of(store, data__max_records=4)
    assert len({name for k in range(9) for name in ids(stream.batches(k))}) <= 4 * 13


def test_rows_of_different_image_counts_never_share_a_batch(store):
    class Mixed:
        name, records = "diff_vqa", "pairs"

        def samples(self, record):
            both = (record.reference.image, record.main.image)
            images = both if record.id < "50000008" else both[1:]
            sample = next(load_tasks(("diff_vqa",), 32)[0].samples(record))
            yield replace(sample, images=images)

    config = tiny_model.config("diffvqa", train__batch_size=16)
    dataset = TokenizedDataset(store.pairs_of("train"), (Mixed(),), Tokenizer(), DatasetOptions(96))
    batches = BalancedBatchStream(dataset, store.pixels, config).batches(0)
    assert [batch.image_index.shape[1] for batch in batches] == [1, 2]
    assert sum(len(batch) for batch in batches) == 16


def test_fixed_batches_keep_the_order_of_the_rows(store):
    dataset = tokenize(store.studies_of("validate"))
    rows = sort_by_prompt_length(dataset, select_indices(dataset.num_rows, 30))
    batches = list(fixed_batches(dataset, rows, store.pixels, batch_size=7))
    assert [row for part, _ in batches for row in part] == rows
    assert [len(batch) for _, batch in batches] == [7, 7, 7, 7, 2]
    assert not any(bool(batch.parallel.any()) for _, batch in batches)
