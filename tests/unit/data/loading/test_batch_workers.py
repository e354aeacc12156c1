"""Worker processes: the same batches, and one sentence for an error in a worker."""

import multiprocessing

import pytest
import torch

import tiny_store
from lapse.data.loading.batch_workers import iterate_batches
from lapse.data.store.store import open_store
from tiny_loading import same, stream_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("workers") / "store"))


def features(key):
    """Cached tokens in bfloat16, which NumPy lacks."""
    return torch.full((3, 4), float(len(key)), dtype=torch.bfloat16)


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_workers_change_nothing(num_workers, store):
    plain, parallel = stream_of(store), stream_of(store, train__num_workers=num_workers)
    plain.features = parallel.features = features
    batches = list(iterate_batches(plain, 2, 8))
    with_workers = list(iterate_batches(parallel, 2, 8))
    assert len(batches) == len(with_workers) == 6
    for left, right in zip(batches, with_workers, strict=True):
        assert all(map(same, left, right))
    assert with_workers[0][0].features.dtype == torch.bfloat16
    with_workers[0][0].tokens[:] = 0  # writable, as without workers
    assert not same(batches[0][0], with_workers[0][0])
    assert multiprocessing.active_children() == []


def test_no_step_no_batch(store):
    assert list(iterate_batches(stream_of(store, train__num_workers=2), 3, 3)) == []


def test_an_iterator_that_is_closed_early_ends_its_workers(store):
    iterator = iterate_batches(stream_of(store, train__num_workers=2), 0, 40)
    next(iterator)
    assert len(multiprocessing.active_children()) == 2
    iterator.close()
    assert multiprocessing.active_children() == []


def test_an_error_in_a_worker_has_its_own_sentence(store, monkeypatch):
    def fail(*_):
        raise OSError("the disk of the store has gone")

    stream = stream_of(store, train__num_workers=2)
    monkeypatch.setattr(stream, "pixels", fail)
    with pytest.raises(ValueError, match=r"^the disk of the store has gone$"):
        next(iterate_batches(stream, 0, 8))
