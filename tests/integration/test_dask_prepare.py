"""Shards on a Dask cluster of two workers: deaths change no byte of the store."""

import logging
import os
import signal
from dataclasses import replace

import pytest

import shard_jobs
import tiny_tree
from file_hashes import file_hashes
from lapse.data.prepare import dask_engine
from lapse.data.prepare import prepare as prepare_module
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare

distributed = pytest.importorskip("distributed")
OPTIONS = PrepareOptions(24, shard_size=2, workers=2)  # six shards of two studies


@pytest.fixture(scope="module")
def address():
    """The scheduler of a cluster of two processes."""
    cluster = distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0")
    with cluster:
        yield cluster.scheduler_address


@pytest.fixture
def roots(tmp_path):
    return find_roots([tiny_tree.write_tree(tmp_path / "tree")])


def lapse_warnings(caplog):
    """The messages of the package's own warnings."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("lapse")]


def test_a_dead_worker_costs_no_image_and_a_deadly_image_itself(
    address, roots, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(prepare_module, "ShardJob", shard_jobs.DyingJob)
    prepare(roots, tmp_path / "processes", OPTIONS)  # the worker pool rejects the deadly image
    mark = shard_jobs.kill_once(tmp_path, tiny_tree.dicom(4, 2))
    seen = []
    with caplog.at_level(logging.WARNING, "lapse"):
        report = prepare(
            roots,
            tmp_path / "dask",
            replace(OPTIONS, dask=address),
            progress=lambda *count: seen.append(count),
        )
    assert not mark.exists()
    assert file_hashes(tmp_path / "dask") == file_hashes(tmp_path / "processes")
    assert report.skipped.counts["mimic_cxr: unreadable image"] == 1
    assert seen[:12] == [(done, 12) for done in range(1, 13)]  # the image that kills twice
    # Dask also gives up a shard that waited at each of the workers that died.
    assert "shard 0 failed on Dask: the workers that had it died" in lapse_warnings(caplog)


def test_a_shard_whose_files_are_complete_is_not_made_again(
    address, roots, tmp_path, monkeypatch, caplog
):
    prepare(roots, tmp_path / "processes", OPTIONS)
    monkeypatch.setattr(prepare_module, "ShardJob", shard_jobs.DyingAfterJob)
    with caplog.at_level(logging.WARNING, "lapse"):
        prepare(roots, tmp_path / "dask", replace(OPTIONS, dask=address))
    assert file_hashes(tmp_path / "dask") == file_hashes(tmp_path / "processes")
    assert not [text for text in lapse_warnings(caplog) if text.startswith("shard 0 ")]


def test_a_result_that_is_lost_before_it_is_read_ends_no_run(
    address, roots, tmp_path, monkeypatch, caplog
):
    """The workers die after the first shard is complete, and again when they make it again."""
    prepare(roots, tmp_path / "processes", OPTIONS)
    lost, real = tmp_path / "lost", distributed.Future.exception

    def lose(future, *options, **names):
        error = real(future, *options, **names)
        if error is None and not lost.exists() and future.result().index == 0:
            lost.touch()
            for pid in future.client.run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)
        return error

    monkeypatch.setattr(distributed.Future, "exception", lose)
    monkeypatch.setattr(prepare_module, "ShardJob", shard_jobs.DyingAgainJob)
    with caplog.at_level(logging.WARNING, "lapse"):
        prepare(roots, tmp_path / "dask", replace(OPTIONS, dask=address))
    assert lost.exists()
    assert file_hashes(tmp_path / "dask") == file_hashes(tmp_path / "processes")
    assert not [text for text in lapse_warnings(caplog) if text.startswith("shard 0 ")]


def test_a_cluster_with_another_version_ends_the_run(address, roots, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_engine, "__version__", "0.0.9")
    pattern = r"shard \d failed on a Dask worker .* has lapse .*, not 0\.0\.9\): .* folders of this"
    with pytest.raises(ValueError, match=pattern):
        prepare(roots, tmp_path / "store", replace(OPTIONS, dask=address))
    assert not (tmp_path / "store").exists()
    assert not list((tmp_path / "store.shards").glob("lock*"))
