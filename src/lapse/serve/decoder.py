"""The process that decodes films: bytes -> pixels for the model, a picture for the screen, facts.

    python -m lapse.serve.decoder      requests on stdin, answers on stdout (messages.py)

It imports no torch, writes no file, and has limits of memory and of CPU time for each film.
"""

from __future__ import annotations

import io
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from lapse.images import ImageError, ImageProcessing, decode_shown, read_at
from lapse.images.dicom_header import is_dicom
from lapse.images.film_facts import NO_FACTS, facts_of_bytes
from lapse.serve.messages import Message, Pipe

_FILM = Path("film")  # a name for errors, which are not sent
# DICOM PS3.4, annex B.5: computed and digital radiographs, and captures of them
SOP_CLASSES = frozenset("1.2.840.10008.5.1.4.1.1." + end for end in ("1", "1.1", "1.1.1", "7"))


def main() -> None:
    """Decode until stdin closes."""
    pipe = Pipe()
    while (request := pipe.receive()) is not None:
        _limit_process(int(request.values["memory"]), int(request.values["cpu"]))
        pipe.send(decode(request.parts[0], request.values))


def decode(data: bytes, values: dict[str, Any]) -> Message:
    """The answer for one film.

    Args:
        data: the content of the file.
        values: "size", "resize" and "intensity" of the model, "shown" pixels of the screen.

    Returns:
        The pixels of the model [S, S] and a PNG; or "refused" with a code, without a text of the
        file.
    """
    try:
        processing = ImageProcessing(values["resize"], values["intensity"])
        stored = read_at(_FILM, int(values["size"]), processing, data=data)
        facts = NO_FACTS
        if is_dicom(data):  # the number of its elements is limited: it was read
            facts = facts_of_bytes(data)
            if facts.sop_class not in SOP_CLASSES:
                return Message({"refused": "sop-class"})
        picture = io.BytesIO()
        shown: Image.Image = decode_shown(data, int(values["shown"]))
        shown.save(picture, "PNG", compress_level=1)
    except ImageError as error:
        return Message({"refused": error.code})
    except MemoryError:
        return Message({"refused": "too-many-pixels"})
    return Message(
        {
            "height": stored.height,
            "width": stored.width,
            "notes": list(stored.notes),
            "facts": asdict(facts),
        },
        (stored.pixels.tobytes(), picture.getvalue()),
    )


def _limit_process(memory: int, seconds: int) -> None:
    """Limit address space, files, core dumps and the CPU time of this film, where supported.

    The system ends the process after the CPU time.
    """
    if sys.platform == "win32":
        return
    import resource

    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(time.process_time()) + 1 + seconds,
    }
    for name, value in limits.items():
        _, hard = resource.getrlimit(name)
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (soft, hard))


if __name__ == "__main__":
    main()
