"""Shards on a Dask cluster: each shard is a task, made by whichever worker is free.

    prepare --- Shard ---> scheduler ---> worker --> the files of the shard, in OUT.shards
       ^                       |
       '---- ShardInfo <-------'    the task of a worker that died goes to another worker

Dask gives a task up after several deaths (`allowed-failures`), also one that only waited at workers
that died. Such a shard, unless its files are complete, is made by a process of this machine at the
end, which rejects the image that ends or hangs its decoder. Files, not the scheduler, carry pixels:
all machines share a file system.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from lapse.core.extras import check_extra
from lapse.core.version import __version__
from lapse.data.io.worker_pool import ItemCallback, run_isolated
from lapse.data.prepare.shards import Shard, ShardInfo, ShardJob, read_shard_info

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
CONNECT_SECONDS = 10
SILENT_SECONDS = 300.0  # without a further image, after which a worker ends itself
RETRIES = 2  # of a shard whose task raises an error, such as one of a file system
MAX_KILLED = 8  # more such shards point to the machines rather than to damaged files

logger = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()  # the datasets of a job, and the timer, are for one thread


@dataclass(frozen=True)
class _Sender:
    """What a worker must have in common with the process that sends shards.

    Attributes:
        version: of lapse.
        cwd: its working directory, to which paths are relative.
        token: a file in the folder of the shards.
    """

    version: str
    cwd: Path
    token: Path


def check_dask(address: str) -> None:
    """Refuse an address without a scheduler, before any work.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers.
    """
    check_extra("dask", ["distributed"], "prepare with --dask")
    if address != LOCAL:
        with _connect(address, 0):
            pass


def run_on_dask(
    job: ShardJob,
    tasks: Iterable[Shard],
    *,
    address: str,
    num_workers: int,
    on_item: ItemCallback,
) -> Iterator[ShardInfo]:
    """The shards in the order of completion, made by the workers of a Dask cluster.

    Args:
        job: called in the workers.
        tasks: consumed while there are free workers.
        address: of the scheduler, such as "tcp://node1:8786", or "local" for processes of this
            machine.
        num_workers: number of local processes.
        on_item: called with the id of each study of a complete shard.

    Raises:
        ValueError: no scheduler answers, it ended, a shard failed, or the workers died on more
            than MAX_KILLED shards.
    """
    with ExitStack() as stack:
        client = stack.enter_context(_connect(address, num_workers))
        token = stack.enter_context(NamedTemporaryFile(dir=job.folder, prefix="lock-dask-"))
        sender = _Sender(__version__, Path.cwd(), Path(token.name))
        killed: list[Shard] = []
        for shard, result in _results(client, job, sender, iter(tasks)):
            info = result or read_shard_info(job.folder, shard.index, job.key)
            if info is None:
                killed.append(shard)
                _check_killed(killed, address)
                continue
            for item in shard.items:
                on_item(item.study.id)
            yield info
        list(job.folder.iterdir())  # reads the folder again where the file system caches it
    if killed:
        logger.info("shards on which Dask workers died are made here: %d", len(killed))
        yield from run_isolated(job, killed, num_workers=1, on_item=on_item)


def _results(
    client: Client, job: ShardJob, sender: _Sender, tasks: Iterator[Shard]
) -> Iterator[tuple[Shard, ShardInfo | None]]:
    """Each shard with its result, None if its workers died; few shards wait at the scheduler."""
    from distributed import KilledWorker, as_completed

    shards: dict[str, Shard] = {}
    futures = as_completed()

    def submit() -> None:
        limit = 2 * max(1, len(client.nthreads()))
        for shard in list(islice(tasks, max(0, limit - len(shards)))):
            future = client.submit(_make_shard, job, shard, sender, pure=False, retries=RETRIES)
            shards[future.key] = shard
            futures.add(future)

    try:
        submit()
        for future in futures:
            shard = shards.pop(future.key)
            info, error = _outcome(future)
            if isinstance(error, CancelledError):
                raise error
            if error is not None and not isinstance(error, KilledWorker):
                raise ValueError(
                    f"shard {shard.index} failed on a Dask worker ({_reason(error)}): scheduler "
                    f"and workers need lapse {__version__} and the folders of this machine; the "
                    "same command keeps the finished shards"
                )
            yield shard, info
            submit()
    except (CancelledError, OSError) as error:
        raise ValueError(
            f"the Dask scheduler ended ({_reason(error)}): the same command keeps the finished "
            "shards"
        ) from error


def _outcome(future: Future[ShardInfo]) -> tuple[ShardInfo | None, BaseException | None]:
    """The result of a shard that is complete, or its error.

    A result is lost if its worker dies before it is read here; Dask then makes the shard again.
    """
    from distributed import KilledWorker

    error = future.exception()
    if error is not None:
        return None, error
    try:
        return future.result(), None
    except KilledWorker as lost:
        return None, lost


def _check_killed(killed: Sequence[Shard], address: str) -> None:
    index = killed[-1].index
    if len(killed) > MAX_KILLED:
        raise ValueError(
            f"the workers of the Dask scheduler {address} died on {len(killed)} shards, the last "
            f"one {index}: they are out of memory or their image library is broken"
        )
    logger.warning("shard %d failed on Dask: the workers that had it died", index)


def _reason(error: BaseException) -> str:
    """The first cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _make_shard(job: ShardJob, shard: Shard, sender: _Sender) -> ShardInfo:
    """Make a shard in a worker. The worker ends itself if an image hangs its decoder.

    Raises:
        ValueError: the worker has another version of lapse, or does not see the folders.
    """
    host = platform.node()
    if __version__ != sender.version:
        raise ValueError(f"the worker on {host} has lapse {__version__}, not {sender.version}")
    with _one_at_a_time, chdir(sender.cwd):
        if not sender.token.exists():
            raise ValueError(
                f"the worker on {host} does not see {sender.token.parent}: raw data and store "
                "must be in a file system that all workers share"
            )
        try:
            return _opened(job, sender.cwd)(
                shard, {}, lambda _: faulthandler.dump_traceback_later(SILENT_SECONDS, exit=True)
            )
        except BaseException:
            _opened.cache_clear()  # a dataset that failed may hold parts of a study
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()


@lru_cache(maxsize=1)
def _opened(job: ShardJob, cwd: Path) -> ShardJob:  # noqa: ARG001
    """The first of equal jobs, whose datasets are open already."""
    return job


def _check_scheduler(address: str) -> None:
    """Connect once, before there is a client.

    A client that cannot connect is not closed before it is garbage-collected. If that happens while
    another client starts, both wait for one lock of `distributed`, forever.
    """
    from distributed import Security
    from distributed.comm import connect

    async def try_connection() -> None:
        arguments = Security().get_connection_args("client")  # of Dask's configuration: TLS
        comm = await connect(address, timeout=CONNECT_SECONDS, **arguments)
        await comm.close()

    with ThreadPoolExecutor(1) as thread:  # the caller may be in an event loop, as in a notebook
        thread.submit(asyncio.run, try_connection()).result()


@contextmanager
def _connect(address: str, num_workers: int) -> Iterator[Client]:
    """A client of the scheduler, or of a cluster of local processes that end with it."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # no tracebacks
    with ExitStack() as stack:
        if address == LOCAL:
            cluster = LocalCluster(num_workers, threads_per_worker=1, dashboard_address=":0")
            target = stack.enter_context(cluster)
        else:
            target = address
        try:
            if address != LOCAL:
                _check_scheduler(address)
            client = Client(target, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no Dask scheduler at {address} ({error}): start one with `dask scheduler` and "
                "give its address, such as tcp://node1:8786, or use --dask local"
            ) from error
        stack.enter_context(client)
        if not client.nthreads():
            logger.info("the Dask scheduler %s has no workers yet", address)
        yield client
