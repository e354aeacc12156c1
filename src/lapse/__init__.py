"""Models that compare two chest X-rays of one patient. Research use only.

Nothing here is a medical device, and no answer is a diagnosis.

>>> import lapse
>>> lapse.load().compare("reference.png", "main.png").text    # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lapse.core.version import __version__

if TYPE_CHECKING:
    from lapse.inference.pretrained.model import Lapse, load

__all__ = ["Lapse", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` and `Lapse` on first use, so that `import lapse` does not wait for torch."""
    if name in {"Lapse", "load"}:
        from lapse.inference.pretrained import model

        return getattr(model, name)
    raise AttributeError(f"module 'lapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
