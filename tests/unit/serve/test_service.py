import asyncio

import small_files as small
from lapse.images import ImageProcessing
from lapse.serve.limits import Limits
from lapse.serve.service import ServedModel, Service

PROCESSING = ImageProcessing()
MODEL = {"size": 64, "resize": PROCESSING.resize, "intensity": PROCESSING.intensity}


def test_a_film_does_not_wait_for_the_start_of_a_decoder_that_replaces_another():
    film = small.png()

    async def receive():
        return {"type": "http.request", "body": film}

    async def run():
        service = Service(ServedModel(), Limits(decoders=2, decoder_uses=1))
        service.model = MODEL
        try:
            for decoder in service.decoders:
                await decoder.start()
            pids = [[decoder.pid for decoder in service.decoders]]
            for _ in range(2):
                async with service.uploads.read(receive, len(film)) as upload:
                    await service.add_film(upload)
                pids.append([decoder.pid for decoder in service.decoders])
        finally:
            await service.stop()
        return pids

    start, first, second = asyncio.run(run())
    assert all((*start, *first, *second))  # all run
    changed = [
        [a != b for a, b in zip(*pair, strict=True)] for pair in ((start, first), (first, second))
    ]
    assert changed == [[False, True], [True, False]]  # each film had the decoder that waits longest
