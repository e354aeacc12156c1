"""Big dictionaries in flat memory: a text costs its bytes and a table of 64-bit keys.

    CompactIntMap   text -> number       9 or 12 bytes a slot, two to four fifths of them in use
    Texts    number -> text       4 bytes and the text, end to end in one buffer
    Names    text <-> number      both: every different text once, in order of arrival
    CompactEnumMap  text -> word         one of a few words, such as the split of an image
    CompactStrMap  text -> text         such as the image of a study

A dict of strings takes 150 bytes and more for the same. Equal keys are taken for equal texts:
among the 377,110 images of MIMIC-CXR two share a key with a chance of 4 in 10^9.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_FULL = 0.8  # share of a table at which it doubles


def key_of(*parts: str) -> int:
    """64 bits that stand for a text (or several): equal texts, equal keys."""
    text = "\t".join(parts).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class CompactIntMap:
    """Texts -> numbers, without the texts.

    The keys are Python's own hashes, 64 bits that are good for one process.

    Args:
        kind: bytes of a number: "b" one (up to 127), "i" four.

    >>> rows = CompactIntMap()
    >>> rows["s50414267"] = 7
    >>> rows.get("s50414267"), rows.get("s1"), len(rows)
    (7, None, 1)
    """

    def __init__(self, kind: str = "i") -> None:
        self._kind = kind
        self._length = 0
        self._keys = _empty("q", 1 << 8)
        self._values = _empty(kind, 1 << 8)

    def __len__(self) -> int:
        return self._length

    def get(self, text: str) -> int | None:
        """The number of a text, None where it has none."""
        slot = self._slot(hash(text) or 1)
        return self._values[slot] if self._keys[slot] else None

    def __setitem__(self, text: str, value: int) -> None:
        slot = self._taken(hash(text) or 1)  # may make a new table, so before the next line
        self._values[slot] = value

    def add(self, text: str, value: int = 0) -> int | None:
        """Give a text a number unless it has one; the number that it had, None where it is new."""
        key = hash(text) or 1  # 0 marks a free slot
        slot = self._slot(key)
        if self._keys[slot]:
            return self._values[slot]
        slot = self._taken(key)
        self._values[slot] = value
        return None

    def _slot(self, key: int) -> int:
        """Where a key stands, or the free slot where it would."""
        keys, mask = self._keys, len(self._keys) - 1
        slot = key & mask
        while (found := keys[slot]) and found != key:
            slot = (slot + 1) & mask
        return slot

    def _taken(self, key: int) -> int:
        """The slot of a key that stands there from now on."""
        slot = self._slot(key)
        if not self._keys[slot]:
            if self._length >= _FULL * len(self._keys):
                self._grow()
                slot = self._slot(key)
            self._keys[slot] = key
            self._length += 1
        return slot

    def _grow(self) -> None:
        old = zip(self._keys, self._values, strict=True)
        size = 2 * len(self._keys)
        self._keys, self._values = _empty("q", size), _empty(self._kind, size)
        for key, value in old:
            if key:
                slot = self._slot(key)
                self._keys[slot] = key
                self._values[slot] = value


class Texts:
    """Numbers 0, 1, 2 ... -> texts."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("I", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, text: str) -> None:
        """The text of the next number."""
        self._bytes += text.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._bytes))

    def __getitem__(self, number: int) -> str:
        return self._raw(number).decode("utf-8", "surrogateescape")

    def order(self) -> Ints:
        """[N] the numbers in the order of their texts, as Python sorts them."""
        width = int(np.diff(np.frombuffer(self._ends, np.uint32)).max(initial=1))
        rows = np.zeros(len(self), f"S{width}")
        for number in range(len(self)):
            rows[number] = self._raw(number)
        return np.argsort(rows, kind="stable").astype(np.int64)

    def _raw(self, number: int) -> bytes:
        return bytes(self._bytes[self._ends[number] : self._ends[number + 1]])


class Names:
    """Every different text once, with its number."""

    def __init__(self) -> None:
        self._numbers = CompactIntMap()
        self.texts = Texts()

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, number: int) -> str:
        return self.texts[number]

    def number(self, text: str) -> int:
        """The number of a text; a new text gets the next."""
        known = self._numbers.add(text, len(self.texts))
        if known is None:
            self.texts.append(text)
            return len(self.texts) - 1
        return known

    def find(self, text: str) -> int | None:
        """The number of a text, None where it has none."""
        return self._numbers.get(text)


class CompactEnumMap:
    """Texts -> one of a few words; which texts it holds cannot be listed.

    >>> splits = CompactEnumMap()
    >>> splits["02aa804e"] = "train"
    >>> splits.get("02aa804e"), splits.get("nothing")
    ('train', None)
    """

    def __init__(self) -> None:
        self._numbers = CompactIntMap("b")
        self._words = Names()

    def __len__(self) -> int:
        return len(self._numbers)

    def __setitem__(self, text: str, word: str) -> None:
        self._numbers[text] = self._words.number(word)

    def get(self, text: str) -> str | None:
        """The word of a text, None where it has none."""
        number = self._numbers.get(text)
        return None if number is None else self._words[number]

    def __getitem__(self, text: str) -> str:
        word = self.get(text)
        if word is None:
            raise KeyError(text)
        return word


class CompactStrMap:
    """Texts -> texts; which texts it holds cannot be listed."""

    def __init__(self) -> None:
        self._numbers = CompactIntMap()
        self._texts = Texts()

    def __len__(self) -> int:
        return len(self._numbers)

    def __setitem__(self, text: str, other: str) -> None:
        self._numbers[text] = len(self._texts)
        self._texts.append(other)

    def get(self, text: str) -> str | None:
        """The text that belongs to a text, None where none does."""
        number = self._numbers.get(text)
        return None if number is None else self._texts[number]


class OrderedEnumMap(Mapping[str, str]):
    """Texts -> one of a few words, as a mapping that can be read from end to end."""

    def __init__(self) -> None:
        self._names = Names()
        self._codes = array("b")
        self._words = Names()

    def __setitem__(self, text: str, word: str) -> None:
        code, number = self._words.number(word), self._names.number(text)
        if number == len(self._codes):
            self._codes.append(code)
        self._codes[number] = code

    def __getitem__(self, text: str) -> str:
        number = self._names.find(text)
        if number is None:
            raise KeyError(text)
        return self._words[self._codes[number]]

    def __iter__(self) -> Iterator[str]:
        return (self._names[number] for number in range(len(self._names)))

    def __len__(self) -> int:
        return len(self._names)

    def in_order(self) -> Iterator[tuple[str, str]]:
        """(text, word) in the order of the texts."""
        for number in self._names.texts.order():
            yield self._names[int(number)], self._words[self._codes[int(number)]]


def _empty(kind: str, size: int) -> array[int]:
    values = array(kind)
    return array(kind, bytes(values.itemsize * size))
