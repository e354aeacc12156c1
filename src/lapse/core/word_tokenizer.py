"""Tokenizers of compared systems whose vocabulary is not GPT-2's.

WordTokenizer       the lower-case words and punctuation marks of the training texts (EKAID)
WordPieceTokenizer  the word pieces of a BERT vocabulary file (BLIP-2's Q-Former)

Both number their entries from zero. A run folder keeps the entries, so that it opens without the
training data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from tokenizers import BertWordPieceTokenizer

from lapse.core.tokenizer import Tokenizer

Spec: TypeAlias = "list[int] | dict[str, list[str]] | None"  # as JSON in a run folder

_WORD = re.compile(r"[^\W_]+(?:[-'/.][^\W_]+)*|[^\w\s]|_")
_BEFORE_MARK = re.compile(r"\s+([.,;:?!%)\]])")
_AFTER_BRACKET = re.compile(r"([(\[])\s+")
SPECIAL = ("<end>", "<start>", "<unknown>")
MAX_ENTRIES = 1 << 16  # token ids are stored in two bytes


class WordTokenizer(Tokenizer):
    """One token per word or punctuation mark, in lower case.

    The first three tokens are the end, the start and the unknown word.

    Args:
        words: the vocabulary without these three, each word once.

    >>> tokenizer = WordTokenizer(["edema", ".", "no"])
    >>> tokenizer.encode("No edema, seen.")
    [5, 3, 2, 2, 4]
    >>> tokenizer.decode([5, 3, 4, 0])
    'no edema.'
    """

    end, start, unknown = 0, 1, 2

    def __init__(self, words: Sequence[str]) -> None:
        self.kept = None
        self.words = tuple(words)
        self._entries = (*SPECIAL, *self.words)
        self._number = {word: number for number, word in enumerate(self._entries)}
        if len(self._number) != len(self._entries):
            raise ValueError(
                f"the {len(self._entries)} words of a vocabulary are not all different"
            )
        self.size = _checked_size(len(self._entries))

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> WordTokenizer:
        """The vocabulary of all words of these texts, in alphabetical order."""
        return cls(sorted({word for text in texts for word in split_words(text)}))

    @property
    def spec(self) -> Spec:
        """The vocabulary as JSON, for `tokenizer_of`."""
        return {"words": list(self.words)}

    def encode(self, text: str) -> list[int]:
        """The numbers of the words of a text, without an end token."""
        return [self._number.get(word, self.unknown) for word in split_words(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these numbers, without end and start; punctuation follows its word."""
        words = [self._entries[token] for token in ids if token not in (self.end, self.start)]
        return _AFTER_BRACKET.sub(r"\1", _BEFORE_MARK.sub(r"\1", " ".join(words)))


class WordPieceTokenizer(Tokenizer):
    """The word pieces of BERT (uncased); `[SEP]` ends a text.

    Args:
        pieces: the lines of a `vocab.txt`.

    Raises:
        ValueError: a piece that every BERT vocabulary has is missing.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self.kept = None
        self.pieces = tuple(pieces)
        numbers = {piece: number for number, piece in enumerate(self.pieces)}
        missing = [piece for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if piece not in numbers]
        if missing:
            raise ValueError(
                f"a BERT vocabulary of {len(self.pieces)} pieces lacks {missing[0]}: give the "
                "vocab.txt of an uncased BERT model"
            )
        self.size = _checked_size(len(self.pieces))
        self.start, self.end = numbers["[CLS]"], numbers["[SEP]"]
        self._pieces = BertWordPieceTokenizer(vocab=numbers, lowercase=True)

    @classmethod
    def of_file(cls, path: Path) -> WordPieceTokenizer:
        """The vocabulary of a `vocab.txt`, or of a folder that holds one.

        Raises:
            ValueError: there is no such file.
        """
        file = path / "vocab.txt" if path.is_dir() else path
        if not file.is_file():
            raise ValueError(f"no BERT vocabulary {file}: give a vocab.txt, or its folder")
        return cls(file.read_text(encoding="utf-8").splitlines())

    @property
    def spec(self) -> Spec:
        """The vocabulary as JSON, for `tokenizer_of`."""
        return {"pieces": list(self.pieces)}

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text, without an end token."""
        return list(self._pieces.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these numbers, without special pieces."""
        text = self._pieces.decode(list(ids), skip_special_tokens=True)
        return _AFTER_BRACKET.sub(r"\1", _BEFORE_MARK.sub(r"\1", text))


def split_words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case.

    >>> split_words("Right-sided effusion (2.5 cm).")
    ['right-sided', 'effusion', '(', '2.5', 'cm', ')', '.']
    """
    return _WORD.findall(text.lower())


def tokenizer_of(spec: Spec) -> Tokenizer:
    """The tokenizer of a run folder: null, a list of GPT-2 ids, words, or word pieces."""
    if isinstance(spec, dict):
        if "words" in spec:
            return WordTokenizer(spec["words"])
        return WordPieceTokenizer(spec["pieces"])
    return Tokenizer(spec)


def _checked_size(count: int) -> int:
    if count > MAX_ENTRIES:
        raise ValueError(f"a vocabulary of {count} entries: the limit is {MAX_ENTRIES}")
    return count
