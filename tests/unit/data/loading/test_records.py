"""Records of a split, tasks, and the vocabulary of their texts."""

import pytest

import tiny_model
import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.records import (
    check_image_size,
    load_tasks,
    split_records,
)
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from tiny_loading import TASKS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("loading") / "store"))


def test_tasks_of_different_records_do_not_mix():
    with pytest.raises(ValueError, match="one kind of record"):
        load_tasks(("cap", "diff_vqa"), 32)


def test_another_image_size_is_refused(store):
    config = tiny_model.config(model__encoder={"image_size": 64})
    with pytest.raises(ValueError, match=r"holds 32 px images, model\.encoder\.image_size is 64"):
        check_image_size(store, config)


def test_the_split_decides_the_records(store):
    (task,) = load_tasks(("diff_vqa",), 32)
    splits = [split_records(store, task, split) for split in ("train", "validate", "test")]
    assert list(map(len, splits)) == [16, 4, 4]
    patients = [{pair.main.patient for pair in pairs} for pairs in splits]
    assert not set.intersection(*patients)


def test_the_trimmed_vocabulary_has_every_text_and_box_number(store):
    tasks, studies = load_tasks(TASKS, 32), store.studies_of("train")
    tokenizer = read_training_data(store, tiny_model.config()).tokenizer
    assert len(tokenizer.kept) < 1000
    for study in studies:
        for task in tasks:
            for sample in task.samples(study):
                assert tokenizer.encode(sample.answer) == Tokenizer().encode(sample.answer)
    for number in range(32):
        text = f" [{number}, {number}]"
        assert tokenizer.encode(text)[:2] == Tokenizer().encode(text)[:2]
