"""Removal of references to earlier examinations by a local token classifier.

The folder holds a model and a fast tokenizer as transformers saves them, with one label called
"remove" (any case), as in Ramesh et al. 2022, arXiv:2210.06340. Nothing is downloaded, no code of
the folder is run, and weights are read from safetensors only.

    report --> sentences --> tokens, windows of at most L --> votes of the tokens --> words
                                                             text of the remaining words

A word is a run of characters without a blank: "2.5" is one word, whatever its tokens are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from lapse.core.extras import install_command
from lapse.core.files import sha256_of
from lapse.data.reports.sentences import split_sentences

REMOVE = "remove"
BATCH = 64  # windows per forward pass
OVERLAP = 16  # tokens shared by two windows of a long sentence
MAX_CACHED = 100_000  # cached sentences: most sentences of reports are repeated
_WORD = re.compile(r"\S+")


class _Span(NamedTuple):
    """The characters start .. end of one token, and whether it is to be removed."""

    start: int
    end: int
    is_removed: bool


class ClassifierRemover:
    """Removes words by the votes of a token classifier.

    Args:
        folder: config.json, a tokenizer and safetensors weights.

    Attributes:
        name: "classifier:<folder name>@<first 12 hex digits of the SHA-256 of its weights>".

    Raises:
        ValueError: transformers is not installed, or the folder is not such a classifier.
    """

    def __init__(self, folder: Path) -> None:
        weights = _weight_files(folder)
        labels = _labels(folder)
        self.name = f"classifier:{folder.name}@{sha256_of(*weights)[:12]}"
        self._remove = _remove_label(folder, labels)
        self._tokenizer, self._model = _load(folder)
        self._limit = _limit(self._tokenizer, self._model)
        self._cache: dict[str, tuple[str, tuple[str, ...]]] = {}

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The remaining text, and the removed runs of words in order.

        A sentence of which no word with a letter or digit remains is removed completely.
        """
        sentences = split_sentences(text)
        unknown = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._cache]
        if len(self._cache) + len(unknown) > MAX_CACHED:
            self._cache.clear()
            unknown = list(dict.fromkeys(sentences))
        for sentence, votes in zip(unknown, self._votes(unknown), strict=True):
            self._cache[sentence] = _cut(sentence, votes)
        results = [self._cache[sentence] for sentence in sentences]
        removed = tuple(run for _, runs in results for run in runs)
        if not removed:
            return text, ()
        return " ".join(rest for rest, _ in results if rest), removed

    def _votes(self, sentences: list[str]) -> Iterator[list[_Span]]:
        """The spans of the tokens of every sentence, in all its windows."""
        if not sentences:
            return
        encoded = self._tokenizer(
            sentences,
            truncation=True,
            max_length=self._limit,
            stride=min(OVERLAP, self._limit // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        sentence_of: list[int] = list(encoded["overflow_to_sample_mapping"])
        spans: list[list[_Span]] = [[] for _ in sentences]
        for first in range(0, len(sentence_of), BATCH):
            rows = range(first, min(first + BATCH, len(sentence_of)))
            for row, removals in zip(rows, self._classify(encoded, rows), strict=True):
                offsets = encoded["offset_mapping"][row]
                spans[sentence_of[row]] += [
                    _Span(start, end, is_removed)
                    for (start, end), is_removed in zip(offsets, removals, strict=True)
                    if end > start  # special tokens are empty
                ]
        yield from spans

    def _classify(self, encoded: Any, rows: range) -> list[list[bool]]:
        """Whether each token of each row is to be removed, without padding."""
        import torch

        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        padded = self._tokenizer.pad(
            {name: [encoded[name][row] for row in rows] for name in names},
            return_tensors="pt",
        )
        with torch.inference_mode():
            best = self._model(**padded).logits.argmax(dim=-1).tolist()
        lengths = [len(encoded["input_ids"][row]) for row in rows]
        return [
            [label == self._remove for label in labels[:length]]
            for labels, length in zip(best, lengths, strict=True)
        ]


def _cut(sentence: str, votes: list[_Span]) -> tuple[str, tuple[str, ...]]:
    """The rest of a sentence, with its characters unchanged, and the removed runs of words."""
    words = list(_WORD.finditer(sentence))
    removals = [_is_removed(sentence, word.start(), word.end(), votes) for word in words]
    if not any(removals):
        return sentence, ()
    runs = [
        (is_removed, " ".join(word.group() for word, _ in run))
        for is_removed, run in groupby(zip(words, removals, strict=True), key=itemgetter(1))
    ]
    rest = _tidy(" ".join(text for is_removed, text in runs if not is_removed), sentence)
    if not any(character.isalnum() for character in rest):
        return "", (sentence,)
    return rest, tuple(text for is_removed, text in runs if is_removed)


def _is_removed(sentence: str, start: int, end: int, votes: list[_Span]) -> bool:
    """The majority of the tokens of a word, without punctuation; the first token breaks a tie."""
    inside = [vote for vote in votes if vote.start < end and vote.end > start]
    counted = [vote for vote in inside if any(map(str.isalnum, sentence[vote.start : vote.end]))]
    removals = [vote.is_removed for vote in counted or inside]
    if not removals:
        return False
    majority = 2 * sum(removals) - len(removals)
    return majority > 0 or (majority == 0 and removals[0])


def _tidy(rest: str, sentence: str) -> str:
    """Repair the ends of a cut sentence: no stray comma, a capital letter, the full stop."""
    rest = rest.lstrip(" ,;:.").rstrip(" ,;:-")
    if rest and sentence[-1] in ".!?" and rest[-1] not in ".!?":
        rest += sentence[-1]
    return rest[:1].upper() + rest[1:] if sentence[:1].isupper() else rest


def _weight_files(folder: Path) -> list[Path]:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} holds no config.json: give the folder of a token classifier as "
            "transformers saves it"
        )
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ValueError(
            f"{folder} holds no .safetensors weights, and no other format is read: convert the "
            "model with save_pretrained of transformers"
        )
    return paths


def _labels(folder: Path) -> dict[int, str]:
    """Index -> label of config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return {int(key): str(value) for key, value in config.get("id2label", {}).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not the configuration of a token classifier: {error}"
        ) from error


def _remove_label(folder: Path, labels: dict[int, str]) -> int:
    matches = [index for index, label in labels.items() if label.strip().lower() == REMOVE]
    if len(matches) != 1:
        raise ValueError(
            f"{folder} has the labels {', '.join(labels.values()) or 'none'}: exactly one must be "
            f'called "{REMOVE}"'
        )
    return matches[0]


def _load(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForTokenClassification, AutoTokenizer
    except ImportError as error:
        raise ValueError(
            f"the classifier {folder} needs transformers: {install_command('transformers')}"
        ) from error
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        model = AutoModelForTokenClassification.from_pretrained(
            str(folder), use_safetensors=True, **options
        )
    except Exception as error:  # damaged folders raise many exception types
        raise ValueError(f"{folder} cannot be opened as a token classifier: {error}") from error
    if not tokenizer.is_fast:
        raise ValueError(f"{folder} has no tokenizer.json: a fast tokenizer is needed for offsets")
    return tokenizer, model.eval()


def _limit(tokenizer: Any, model: Any) -> int:
    """Tokens per window; two less than the positions, because some models number them from two."""
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    return int(min(tokenizer.model_max_length, positions - 2))
