"""The GPT-2 tokenizer, and boxes as plain integers in a text.

The paper tokenizes with GPT-2 (3.2.1) and writes boxes "as natural language integers, avoiding
specialized location tokens" (4.1). The vocabulary is built from the merges in assets/gpt2, so
nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers

from lapse.core.types import Box

END = 50256
SIZE = 50257
VOCAB_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
NUM_BYTES = 256
BOX_PATTERN = re.compile(r"\[\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*\]")


class Tokenizer:
    """GPT-2's byte-level BPE, optionally restricted to the tokens in use.

    With `kept`, a token outside it is spelled with the 256 byte tokens, which are always kept, so
    that every text can be encoded and decoded, with a few more tokens.

    Args:
        kept: sorted GPT-2 ids in use, or None for all 50,257.

    Raises:
        ValueError: `kept` lacks the end token or a byte token.
    """

    end: int = END
    start: int = END  # before the first token of a text, where a model needs one
    size: int = SIZE
    kept: tuple[int, ...] | None

    def __init__(self, kept: Sequence[int] | None = None) -> None:
        self.kept = None if kept is None else tuple(sorted(set(kept)))
        self._fast = _gpt2()
        self._kept_set: frozenset[int] | None = None
        if self.kept is not None:
            self._kept_set = frozenset(self.kept)
            missing = [i for i in (*range(NUM_BYTES), END) if i not in self._kept_set]
            if missing:
                raise ValueError(
                    f"a trimmed vocabulary needs the 256 byte tokens and the end token {END}; "
                    f"{len(missing)} are missing, the first is {missing[0]}"
                )

    @property
    def spec(self) -> list[int] | dict[str, list[str]] | None:
        """What a run folder keeps of the vocabulary, as JSON; null for all of GPT-2's tokens."""
        return None if self.kept is None else list(self.kept)

    def encode(self, text: str) -> list[int]:
        """GPT-2 ids of a text, without an end token.

        >>> Tokenizer().encode("Hello world")
        [15496, 995]
        """
        ids: list[int] = self._fast.encode(text).ids
        if self._kept_set is None:
            return ids
        spelled: list[int] = []
        for token in ids:
            spelled.extend([token] if token in self._kept_set else _bytes_of(token))
        return spelled

    def decode(self, ids: Iterable[int]) -> str:
        """The text of GPT-2 ids, without end tokens."""
        return str(self._fast.decode([token for token in ids if token != END]))


@cache
def _gpt2() -> FastTokenizer:
    raw = (resources.files("lapse") / "assets" / "gpt2" / "vocab.bpe").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != VOCAB_SHA256:
        raise ValueError(
            f"the packaged GPT-2 merges have SHA-256 {digest}, expected {VOCAB_SHA256}: reinstall"
        )
    lines = raw.decode("utf-8").split("\n")[1:]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines) if right]
    # Each byte has a printable character, and ids 0 .. 255 follow the order of these characters.
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols += [left + right for left, right in merges]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    vocabulary["<|endoftext|>"] = END
    if len(vocabulary) != SIZE:
        raise ValueError(f"GPT-2 has {SIZE} tokens, the packaged merges give {len(vocabulary)}")
    fast = FastTokenizer(models.BPE(vocab=vocabulary, merges=merges))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    return fast


@cache
def _bytes_of(token: int) -> tuple[int, ...]:
    """The byte tokens that spell one token."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    return tuple(map(symbols.index, _gpt2().id_to_token(token) or ""))


def trimmed_ids(texts: Iterable[str]) -> tuple[int, ...]:
    """Sorted GPT-2 ids of these texts, with all byte tokens and the end token."""
    fast = _gpt2()
    used = {*range(NUM_BYTES), END}
    for text in texts:
        used.update(fast.encode(text).ids)
    return tuple(sorted(used))


def box_bins(box: Box, num_bins: int) -> tuple[int, int, int, int]:
    """A box as integers 0 .. num_bins - 1; a box thinner than a bin is widened to one.

    >>> box_bins(Box(0.0, 0.25, 1.0, 0.5), 448)
    (0, 112, 447, 224)
    """
    last = num_bins - 1
    x_min, x_max = _widen(round(box.x_min * last), round(box.x_max * last), last)
    y_min, y_max = _widen(round(box.y_min * last), round(box.y_max * last), last)
    return x_min, y_min, x_max, y_max


def _widen(low: int, high: int, last: int) -> tuple[int, int]:
    if low < high:
        return low, high
    return (low, low + 1) if low < last else (last - 1, last)


def bins_box(bins: Sequence[int], num_bins: int) -> Box:
    """The inverse of `box_bins`, within half a bin.

    Raises:
        ValueError: a bin is outside 0 .. num_bins - 1, or the box has no area.
    """
    if len(bins) != 4 or any(not 0 <= value < num_bins for value in bins):
        raise ValueError(f"box bins {tuple(bins)} must be four integers in 0 .. {num_bins - 1}")
    last = num_bins - 1
    return Box(bins[0] / last, bins[1] / last, bins[2] / last, bins[3] / last)


def box_text(box: Box, num_bins: int) -> str:
    """A box as the model writes it: "[61, 66, 95, 110]"."""
    return "[" + ", ".join(str(value) for value in box_bins(box, num_bins)) + "]"


def find_box(text: str) -> tuple[int, int, int, int] | None:
    """The last well-formed box in a text, or None.

    >>> find_box("There is no edema. [61, 66, 95, 110]")
    (61, 66, 95, 110)
    >>> find_box("[5, 5, 4, 9]") is None
    True
    """
    for match in reversed(list(BOX_PATTERN.finditer(text))):
        x_min, y_min, x_max, y_max = (int(value) for value in match.groups())
        if x_min < x_max and y_min < y_max:
            return x_min, y_min, x_max, y_max
    return None


def without_box(text: str) -> str:
    """A text without its boxes: the phrase of a CAREF answer."""
    return BOX_PATTERN.sub("", text).strip()
