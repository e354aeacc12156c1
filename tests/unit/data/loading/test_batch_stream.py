"""The stream: equal tasks, one encoder pass an image, and step k from (config, data, k) alone."""

import logging
import multiprocessing
from collections import Counter

import pytest
import torch

import tiny_model
import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import encode_sample
from lapse.data.loading.batch_stream import BalancedBatchStream, fixed_batches, iterate_batches
from lapse.data.loading.records import check_image_size, load_tasks, split_records
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    select_indices,
    sort_by_prompt_length,
)
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store

TASKS = ("cap", "aref", "gcap", "caref")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("loader") / "store"))


def table_of(records, names=TASKS, **options):
    tasks = load_tasks(names, tiny_store.SIDE)
    options = DatasetOptions(**{"max_tokens": 96, **options})
    return TokenizedDataset(records, tasks, Tokenizer(), options)


def stream_of(store, **changes):
    config = tiny_model.config(data__vocabulary="full", **changes)
    table = table_of(store.studies_of("train"), max_records=config.data.max_records)
    return BalancedBatchStream(table, store.pixels, config)


def same(left, right) -> bool:
    names = [name for name in left.__dataclass_fields__ if name not in {"samples", "features"}]
    return left.samples == right.samples and all(
        torch.equal(getattr(left, name), getattr(right, name)) for name in names
    )


def ids(batches) -> list[str]:
    return [sample.id for batch in batches for sample in batch.samples]


def test_the_table_holds_the_tokens_of_every_sample(store):
    table = table_of(store.studies_of("train"))
    assert (len(table), table.num_rows) == (16, 16 * (1 + 4 + 4 + 4))
    tokenizer = Tokenizer()
    for row in range(table.num_rows):
        assert table.text(row) == encode_sample(table.sample(row), tokenizer, 96)
    record, task, place = table.locate(table.rows(3, 2)[1])
    assert (record, task, place) == (3, 2, 1)


def test_records_without_a_task_are_left_out_and_counted(store):
    made = list(store.studies_of("train"))
    mute = [type(made[0])(**{**fields(made[0]), "report": "", "id": "mute"})]
    table = table_of(mute + made)
    assert len(table) == len(made)
    assert table.missing == {"cap": 1, "aref": 0, "gcap": 0, "caref": 0}
    assert "train: 1 records have no cap sample and are left out" in table.summary("train")


def fields(study):
    return {name: getattr(study, name) for name in study.__dataclass_fields__}


def test_long_texts_are_cut_and_counted_and_long_prompts_refused(store):
    table = table_of(store.studies_of("train"), ("cap",), max_tokens=8)
    assert table.num_truncated == len(table)
    assert len(table.text(0).ids) == 8
    with pytest.raises(ValueError, match=r"raise data\.max_tokens"):
        table_of(store.studies_of("train"), ("gcap",), max_tokens=8)


def test_tasks_of_different_records_do_not_mix():
    with pytest.raises(ValueError, match="one kind of record"):
        load_tasks(("cap", "diff_vqa"), 32)


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
def test_ranks_and_accumulation_only_cut_the_step(store, world_size, accumulation):
    whole = stream_of(store)
    cut = stream_of(store, train__gradient_accumulation_steps=accumulation)
    for k in range(3):
        parts = [ids(cut.batches(k, rank, world_size)) for rank in range(world_size)]
        assert all(parts)
        assert [name for part in parts for name in part] == ids(whole.batches(k))


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
        BalancedBatchStream(table_of([]), store.pixels, config)


def test_limit_takes_that_many_records(store):
    assert (
        len({n for k in range(9) for n in ids(stream_of(store, data__max_records=4).batches(k))})
        <= 52
    )
    assert len(stream_of(store, data__max_records=4).dataset) == 4


def test_workers_change_nothing(store):
    plain = list(iterate_batches(stream_of(store), 2, 8))
    with_workers = list(iterate_batches(stream_of(store, train__num_workers=2), 2, 8))
    assert len(plain) == len(with_workers) == 6
    for left, right in zip(plain, with_workers, strict=True):
        assert all(map(same, left, right))
    assert multiprocessing.active_children() == []


def test_rows_of_different_image_counts_never_share_a_batch(store):
    class Mixed:
        name, records = "diff_vqa", "pairs"

        def samples(self, record):
            both = (record.reference.image, record.main.image)
            images = both if record.id < "50000008" else both[1:]
            sample = next(load_tasks(("diff_vqa",), 32)[0].samples(record))
            made = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
            yield type(sample)(**{**made, "images": images})

    config = tiny_model.config("diffvqa", train__batch_size=16)
    table = TokenizedDataset(store.pairs_of("train"), (Mixed(),), Tokenizer(), DatasetOptions(96))
    batches = BalancedBatchStream(table, store.pixels, config).batches(0)
    assert [batch.image_index.shape[1] for batch in batches] == [1, 2]
    assert sum(len(batch) for batch in batches) == 16


def test_fixed_batches_are_sorted_by_length_and_cover_every_row(store):
    table = table_of(store.studies_of("validate"))
    rows = select_indices(table.num_rows, 30)
    assert rows == select_indices(table.num_rows, 30) == sorted(set(rows)) and len(rows) == 30
    assert select_indices(table.num_rows, 10_000) == list(range(table.num_rows))
    ordered = sort_by_prompt_length(table, rows)
    lengths = [table.text(row).prompt for row in ordered]
    assert lengths == sorted(lengths) and sorted(ordered) == rows
    held = list(fixed_batches(table, ordered, store.pixels, batch_size=7))
    assert [row for part, _ in held for row in part] == ordered
    assert [len(batch) for _, batch in held] == [7, 7, 7, 7, 2]
    assert not any(bool(batch.parallel.any()) for _, batch in held)


def test_training_data_logs_what_it_reads(store, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = read_training_data(store, tiny_model.config())
    assert caplog.messages[0].startswith("vocabulary: trimmed to ")
    assert caplog.messages[1] == "train: 16 of 16 records in use, 208 samples"
    kept = set(data.tokenizer.kept)
    assert {token for n in range(32) for token in Tokenizer().encode(f" [{n}, {n}]")[:2]} <= kept
    assert set(data.validation) == set(TASKS)
    assert all(len(rows) == 4 for _, rows in data.validation.values())


def test_another_image_side_is_refused(store):
    config = tiny_model.config(model__encoder={"image_size": 64})
    with pytest.raises(ValueError, match=r"holds 32 px images, model\.encoder\.image_size is 64"):
        check_image_size(store, config)


def test_the_split_decides_the_records(store):
    (task,) = load_tasks(("diff_vqa",), 32)
    found = {split: split_records(store, task, split) for split in ("train", "validate", "test")}
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 16,
        "validate": 4,
        "test": 4,
    }
    patients = [{pair.main.patient for pair in rows} for rows in found.values()]
    assert not set.intersection(*patients)
