"""One periodic tile of noise, the grain of every simulated tissue and lesion.

Its power falls with the frequency to the power -4.4; read at several scales it gives the slope
of chest radiographs (near -3.2 over 4 to 120 cycles per image). Patients and lesions read it
from different places, so one tile, the same in every process, serves all.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lapse.core.seeding import derive_seed
from lapse.phantom.rendering.kernels import Singles

TILE_SIZE = 256


@lru_cache(maxsize=1)
def texture_tile() -> Singles:
    """Noise of mean 0 and deviation 1, cut at 2.5, repeating in both directions. # [256, 256]"""
    draw = np.random.Generator(np.random.PCG64(derive_seed("phantom/texture")))
    white = np.fft.rfft2(draw.standard_normal((TILE_SIZE, TILE_SIZE)))
    down = np.fft.fftfreq(TILE_SIZE)[:, None]
    across = np.fft.rfftfreq(TILE_SIZE)[None, :]
    frequency = np.hypot(down, across)
    shape = 1.0 / (frequency**2 + 0.016**2) ** 1.1
    shape[0, 0] = 0.0
    noise = np.fft.irfft2(white * shape, s=(TILE_SIZE, TILE_SIZE))
    noise /= noise.std()
    return np.asarray(np.clip(noise, -2.5, 2.5), dtype=np.float32)
