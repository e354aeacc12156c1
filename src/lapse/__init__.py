"""lapse: location-aware pretraining and difference questions for serial chest radiographs.

Research use only: nothing here is a medical device, and no answer is a diagnosis.

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
    """`load` and `Lapse` on first use: importing the package alone never waits for torch."""
    if name in {"Lapse", "load"}:
        from lapse.inference.pretrained import model

        return getattr(model, name)
    raise AttributeError(f"module 'lapse' has no attribute {name!r}")
