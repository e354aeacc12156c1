"""Stateless randomness: every random number is a hash of its purpose.

The parts of a purpose are, for example, (run seed, stage, epoch, sample id, use). No state passes
from one number to the next, so the number of workers, prefetching, the order of processing and a
resume do not change a result.
"""

from __future__ import annotations

import hashlib

Part = str | int


def derive_seed(*parts: Part) -> int:
    """A 64-bit integer that depends on all parts and their order, equal on every machine.

    >>> derive_seed(0, "phantom", 3) == derive_seed(0, "phantom", 3)
    True
    >>> derive_seed(1, "2") == derive_seed("1", 2)
    False
    """
    return _number(_digest(hashlib.blake2b(digest_size=8), parts))


def derive_uniform(*parts: Part) -> float:
    """A number in [0, 1) with 53 random bits that depends on all parts."""
    return (derive_seed(*parts) >> 11) / float(1 << 53)


def derive_index(count: int, *parts: Part) -> int:
    """An integer in 0 .. count - 1 that depends on all parts.

    Raises:
        ValueError: count is below 1.
    """
    if count < 1:
        raise ValueError(f"derive_index needs at least one choice, got {count}")
    return derive_seed(*parts) % count


def derive_permutation(count: int, *parts: Part) -> list[int]:
    """A permutation of 0 .. count - 1 that depends on all parts."""
    shared = _digest(hashlib.blake2b(digest_size=8), parts)  # hashed once for all positions
    return sorted(range(count), key=lambda index: _number(_digest(shared.copy(), (index,))))


def _digest(digest: hashlib.blake2b, parts: tuple[Part, ...]) -> hashlib.blake2b:
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, str | int):
            raise ValueError(f"derive_seed got {part!r}: parts are str or int")
        kind = "i" if isinstance(part, int) else "s"
        text = str(part)
        digest.update(f"{kind}{len(text)}:{text};".encode())
    return digest


def _number(digest: hashlib.blake2b) -> int:
    return int.from_bytes(digest.digest(), "big")
