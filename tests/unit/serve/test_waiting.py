import asyncio

import pytest

from lapse.serve.errors import ServiceError, retry_later
from lapse.serve.waiting import Waiting


def test_so_many_run_so_many_wait_and_the_others_are_refused():
    async def run():
        waiting, together, most = Waiting(running=2, waiting=3), 0, 0

        async def use():
            nonlocal together, most
            async with waiting.turn():
                together += 1
                most = max(most, together)
                await asyncio.sleep(0.01)
                together -= 1

        results = await asyncio.gather(*(use() for _ in range(9)), return_exceptions=True)
        refused = [error for error in results if isinstance(error, ServiceError)]
        assert len(refused) == 4 and most == 2
        assert all(
            error.code == "busy" and int(error.headers["Retry-After"]) >= 1 for error in refused
        )
        assert not waiting.is_full
        await use()

    asyncio.run(run())


def test_a_turn_that_fails_or_is_cancelled_is_free_again():
    async def run():
        waiting = Waiting(running=1, waiting=0)
        with pytest.raises(RuntimeError):
            async with waiting.turn():
                raise RuntimeError

        async def wait():
            async with waiting.turn():
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert waiting.is_full
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with waiting.turn():
            pass

    asyncio.run(run())


def test_the_time_of_another_try_is_whole_seconds():
    assert [retry_later("busy", s).headers["Retry-After"] for s in (-3, 0, 0.2, 1, 7.1)] == [
        "1", "1", "1", "1", "8",
    ]  # fmt: skip
