"""Dask: what is refused before any work; the runs are in tests/integration."""

import asyncio
import gc

import pytest

import tiny_tree
from lapse.data.prepare import dask_engine
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare


def test_options_that_contradict_each_other():
    with pytest.raises(ValueError, match="shard 1 of 2 with Dask"):
        PrepareOptions(24, dask="local", workers=2, shard=(1, 2))
    with pytest.raises(ValueError, match="Dask with 0 local processes"):
        PrepareOptions(24, dask="local")


def test_the_extra_is_checked_before_any_work(tmp_path, monkeypatch):
    roots = find_roots([tiny_tree.write_tree(tmp_path / "tree")])
    monkeypatch.setattr("lapse.core.extras.find_spec", lambda module: None)
    with pytest.raises(ValueError, match=r"prepare with --dask needs distributed: pip install"):
        prepare(roots, tmp_path / "store", PrepareOptions(24, dask="local", workers=1))
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "somewhere", "other://node"])
def test_an_address_without_a_scheduler_is_refused_before_any_work(address, tmp_path, monkeypatch):
    client = pytest.importorskip("distributed").Client
    roots = find_roots([tiny_tree.write_tree(tmp_path / "tree")])
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ValueError, match=rf"no Dask scheduler at {address} .*start one with"):
        prepare(roots, tmp_path / "store", PrepareOptions(24, dask=address))
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
    # a client that could not connect can block the next one when it is garbage-collected
    assert not [item for item in gc.get_objects() if type(item) is client]


def test_an_address_is_tried_within_an_event_loop(tmp_path, monkeypatch):
    """A notebook has one."""
    pytest.importorskip("distributed")
    roots = find_roots([tiny_tree.write_tree(tmp_path / "tree")])
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 0.2)

    async def cell():
        prepare(roots, tmp_path / "store", PrepareOptions(24, dask="tcp://127.0.0.1:9"))

    with pytest.raises(ValueError, match="no Dask scheduler at tcp://127"):
        asyncio.run(cell())
