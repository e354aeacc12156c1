"""One periodic tile of noise, the texture of every simulated tissue and lesion.

Its power decreases with frequency to the power -4.4; sampled at several scales it gives the slope
of chest radiographs (near -3.2 over 4 to 120 cycles per image). Patients and lesions sample it at
different offsets, so one tile, equal in every process, is sufficient.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lapse.core.seeding import derive_seed
from lapse.phantom.rendering.kernels import Singles

TILE_SIZE = 256


@lru_cache(maxsize=1)
def texture_tile() -> Singles:
    """Periodic noise with mean 0 and standard deviation 1, clipped at 2.5. # [256, 256]"""
    rng = np.random.Generator(np.random.PCG64(derive_seed("phantom/texture")))
    white = np.fft.rfft2(rng.standard_normal((TILE_SIZE, TILE_SIZE)))
    down = np.fft.fftfreq(TILE_SIZE)[:, None]
    across = np.fft.rfftfreq(TILE_SIZE)[None, :]
    frequency = np.hypot(down, across)
    shape = 1.0 / (frequency**2 + 0.016**2) ** 1.1
    shape[0, 0] = 0.0
    noise = np.fft.irfft2(white * shape, s=(TILE_SIZE, TILE_SIZE))
    noise /= noise.std()
    return np.asarray(np.clip(noise, -2.5, 2.5), dtype=np.float32)
