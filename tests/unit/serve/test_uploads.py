import asyncio
import hashlib
from dataclasses import replace

import pytest

from lapse.serve.errors import ServiceError
from lapse.serve.limits import Limits
from lapse.serve.uploads import Uploads, memory_file

LIMITS = Limits(uploads_bytes=20, upload_seconds=0.05, upload_rate=10**9)


def receiver(*chunks, is_open=False):
    """A client that sends these chunks, and then ends or waits."""
    left = list(chunks)

    async def receive():
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or is_open}
        if is_open:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    return receive


def read(receive, length, limits=LIMITS, stop_after=None):
    async def run():
        uploads = Uploads(limits)
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, uploads.stop)
        if stop_after == 0:
            uploads.stop()
        try:
            async with uploads.read(receive, length) as upload:
                assert uploads.num_bytes == length
                upload.file.seek(0)
                return upload.file.read(), upload.sha256
        finally:
            assert uploads.num_bytes == 0

    return asyncio.run(run())


def test_a_body_is_read_with_its_hash():
    assert read(receiver(b"ab", b"cde"), 5) == (b"abcde", hashlib.sha256(b"abcde").hexdigest())
    assert read(receiver(), 0)[0] == b""


@pytest.mark.parametrize(
    ("receive", "code"),
    [
        (receiver(b"ab"), "bad-request"),
        (receiver(), "bad-request"),
        (receiver(b"ab", is_open=True), "timeout"),
        (receiver(b"a" * 21, is_open=True), "busy"),
    ],
)
def test_a_body_that_does_not_arrive_is_an_error_and_frees_its_bytes(receive, code):
    with pytest.raises(ServiceError, match=code):
        read(receive, 30)


@pytest.mark.parametrize("stop_after", [0, 0.02])
def test_a_service_that_stops_does_not_wait_for_a_slow_client(stop_after):
    slow = replace(LIMITS, upload_seconds=60)
    with pytest.raises(ServiceError, match="stopping"):
        read(receiver(b"a", is_open=True), 3, slow, stop_after)


def test_a_service_that_stops_accepts_a_body_that_is_complete():
    assert read(receiver(b"ab", b"c"), 3, stop_after=0)[0] == b"abc"


def test_a_body_costs_one_timer_and_no_task_for_each_of_its_chunks():
    tasks = set()

    async def receive():
        await asyncio.sleep(0)
        tasks.update(asyncio.all_tasks())
        return {"type": "http.request", "body": b"a", "more_body": True}

    read(receive, 20)
    assert len(tasks) == 1


def test_a_memory_file_has_no_name_in_the_file_system():
    with memory_file() as file:
        file.write(b"film")
        file.seek(0)
        assert file.read() == b"film"
        assert isinstance(file.name if hasattr(file, "name") else 0, int)
