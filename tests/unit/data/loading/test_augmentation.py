"""Augmented batches: from (configuration, data, step) alone; answers and boxes follow the films."""

import numpy as np
import pytest
import torch

import tiny_model
import tiny_store
from lapse.core.changes import UNCHANGED, invert
from lapse.core.grammar import parse
from lapse.core.tokenizer import BOX_PATTERN, Tokenizer, bins_box
from lapse.data.loading.augmentation import Augmenter, changed_answers, exchanged, repeated
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.batch_workers import iterate_batches
from lapse.data.store.store import open_store
from tiny_loading import tokenize

ALL = {"data__augment": {"fraction": 1.0, "exchanged_pairs": 0.4, "repeated_films": 0.2}}
STUDIES, PAIRS = ("cap", "aref", "gcap", "caref"), ("diff_vqa",)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("augment") / "store"))


def stream_of(store, tasks=STUDIES, **changes):
    stage = "pretrain" if tasks == STUDIES else "diffvqa"
    config = tiny_model.config(stage, data__vocabulary="full", **changes)
    records = store.studies_of("train") if tasks == STUDIES else store.pairs_of("train")
    return BalancedBatchStream(tokenize(records, tasks), store.pixels, config)


def content(batches):
    return [
        (batch.samples, *(value.numpy().tobytes() for value in (batch.images, batch.tokens)))
        for batch in batches
    ]


def test_off_by_default(store):
    stream = stream_of(store)
    assert stream.augmenter is None
    off = stream_of(store, data__augment={"shift": 0.2, "lines": 9.0})
    assert off.augmenter is None
    assert content(stream.batches(3)) == content(off.batches(3))


@pytest.mark.parametrize("tasks", [STUDIES, PAIRS])
def test_a_batch_depends_on_its_step_only(store, tasks):
    steps = [content(stream_of(store, tasks, **ALL).batches(k)) for k in range(5)]
    again = stream_of(store, tasks, **ALL)
    assert [content(again.batches(k)) for k in reversed(range(5))][::-1] == steps
    assert content(stream_of(store, tasks, **ALL, train__seed=1).batches(0)) != steps[0]
    split = [batch for rank in (0, 1) for batch in again.batches(2, rank, 2)]
    images = {key for batch in split for sample in batch.samples for key in sample.images}
    together = {key for sample in steps[2][0][0] for key in sample.images}
    assert images == together


def test_worker_processes_and_a_later_start_change_nothing(store):
    alone = list(iterate_batches(stream_of(store, **ALL), 0, 4))
    workers = stream_of(store, **ALL, train__num_workers=2)
    resumed = list(iterate_batches(workers, 2, 4))
    assert [content(step) for step in alone[2:]] == [content(step) for step in resumed]


def test_each_epoch_has_another_draw_and_unchanged_films_stay(store):
    half = stream_of(store, data__augment={"fraction": 0.5})
    films: dict[str, set[str]] = {}
    for step in range(12):
        for batch in half.batches(step):
            for sample in batch.samples:
                films.setdefault(sample.images[0].partition("#")[0], set()).add(sample.images[0])
    keys = [key for names in films.values() for key in names]
    fraction = np.mean(["#" in key for key in keys])
    assert 0.3 < fraction < 0.9 and max(map(len, films.values())) == 3
    plain = next(key for key in keys if "#" not in key)
    assert np.array_equal(half.augmenter.pixels(plain), store.pixels(plain))


def test_texts_have_the_moved_boxes(store):
    plain, moved = stream_of(store), stream_of(store, data__augment={"fraction": 1.0})
    num_moved = 0
    for step in range(4):
        (batch,) = moved.batches(step)
        (before,) = plain.batches(step)
        for row, sample in enumerate(batch.samples):
            if sample.task == "cap":
                continue
            text = Tokenizer().decode(batch.tokens[row, : batch.lengths[row]].tolist())
            (bins,) = BOX_PATTERN.findall(text)
            box = bins_box([int(value) for value in bins], tiny_store.SIDE)
            assert box.iou(sample.box) > 0.7
            same = [item for item in before.samples if item.id == sample.id]
            num_moved += bool(same) and same[0].box != sample.box
        assert torch.equal(batch.images, batch.images.clamp(0, 255))
    assert num_moved > 10


def test_the_films_of_a_pair_are_independent_and_answers_follow(store):
    stream = stream_of(store, PAIRS, **ALL)
    kinds = dict.fromkeys(("plain", "exchanged", "repeated"), 0)
    pairs = {pair.id: pair for pair in store.pairs_of("train")}
    draws = []
    for step in range(40):
        for batch in stream.batches(step):
            for sample in batch.samples:
                pair = pairs[sample.id.partition("/")[2]]
                names = tuple(key.partition("#")[0] for key in sample.images)
                draws += [tuple(key.partition("#")[2] for key in sample.images)]
                truth, answer = parse(pair.answer).changes, parse(sample.answer)
                if names[0] == names[1]:
                    kinds["repeated"] += 1
                    assert sample.answer.strip() == UNCHANGED
                elif names == (pair.main.image, pair.reference.image):
                    kinds["exchanged"] += 1
                    assert answer.changes == invert(truth)
                else:
                    kinds["plain"] += 1
                    assert answer.changes == truth
    assert all(first != second for first, second in draws)
    total = sum(kinds.values())
    assert total > 100
    assert abs(kinds["exchanged"] / total - 0.4) < 0.15
    assert abs(kinds["repeated"] / total - 0.2) < 0.12


def test_a_geometry_that_hides_all_regions_is_left_out(store):
    config = tiny_model.config(data__augment={"fraction": 1.0, "shift": 0.3})
    augmenter = Augmenter(store.pixels, config)
    tasks = tokenize(store.studies_of("train")).tasks
    fixed = 0
    for epoch in range(60):
        for study in store.studies_of("train"):
            changed = augmenter.changed(study, tasks, epoch)
            assert all(list(task.samples(changed)) for task in tasks)
            if changed.image.endswith("fixed"):
                fixed += 1
                assert changed.regions == study.regions
    assert fixed < 60 * len(store.studies_of("train"))


def test_pairs_whose_answer_is_not_read_are_not_exchanged(store):
    pair = store.pairs_of("train")[0]
    assert exchanged(pair).reference == pair.main
    twice = repeated(pair, is_main=False)
    assert twice.reference == twice.main == pair.reference
    strange = type(pair)(**{**{f: getattr(pair, f) for f in pair.__slots__}, "answer": "a dog"})
    assert exchanged(strange) is None
    assert set(changed_answers([pair, strange])) == {
        f" {UNCHANGED}",
        f" {exchanged(pair).answer}",
    }
