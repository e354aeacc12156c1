"""Removal of references to earlier examinations by a local token classifier.

The folder holds a model and a fast tokenizer as transformers saves them, with one label called
"remove" (any case), as in Ramesh et al. 2022, arXiv:2210.06340. Nothing is fetched, no code of
the folder is run, and weights are read from safetensors only.

    report --> sentences --> tokens, windows of at most L --> votes of the tokens --> words
                                                          the characters of the words that stay

A word is a run of characters without a blank: "2.5" is one word, whatever its tokens are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapse.core.extras import install_command
from lapse.core.files import sha256_of
from lapse.data.reports.sentences import split_sentences

REMOVE = "remove"
ROWS = 64  # windows a forward pass
OVERLAP = 16  # tokens that two windows of a long sentence share
MAX_KNOWN = 100_000  # sentences remembered: most sentences of reports are repeated
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class _Span:
    """Characters start .. end of a sentence, voted out or not."""

    start: int
    end: int
    is_out: bool


class ClassifierRemover:
    """A token classifier decides word by word.

    Args:
        folder: config.json, a tokenizer and safetensors weights.
        device: where the model runs.

    Attributes:
        name: "classifier:<folder name>@<first 12 hex digits of the SHA-256 of its weights>".
        num_windowed: sentences longer than the model's positions, read in windows.

    Raises:
        ValueError: transformers is missing, or the folder is no such classifier.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        weights = _weight_files(folder)
        labels = _labels(folder)
        self.name = f"classifier:{folder.name}@{sha256_of(*weights)[:12]}"
        self.num_windowed = 0
        self._remove = _remove_label(folder, labels)
        self._tokenizer, self._model = _load(folder, device)
        self._device = device
        self._limit = _limit(self._tokenizer, self._model)
        self._known: dict[str, tuple[str, tuple[str, ...]]] = {}

    def remove(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text that stays, and the runs of words that went, in order.

        A sentence that keeps no word with a letter or digit goes as a whole.
        """
        sentences = split_sentences(text)
        unknown = [one for one in dict.fromkeys(sentences) if one not in self._known]
        if len(self._known) + len(unknown) > MAX_KNOWN:
            self._known.clear()
            unknown = list(dict.fromkeys(sentences))
        for sentence, votes in zip(unknown, self._votes(unknown), strict=True):
            self._known[sentence] = _cut(sentence, votes)
        answers = [self._known[sentence] for sentence in sentences]
        removed = tuple(run for _, gone in answers for run in gone)
        if not removed:
            return text, ()
        return " ".join(rest for rest, _ in answers if rest), removed

    def _votes(self, sentences: list[str]) -> Iterator[list[_Span]]:
        """The spans of every sentence's tokens, those of all its windows."""
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
        owners: list[int] = list(encoded["overflow_to_sample_mapping"])
        self.num_windowed += sum(count > 1 for count in Counter(owners).values())
        spans: list[list[_Span]] = [[] for _ in sentences]
        for first in range(0, len(owners), ROWS):
            rows = range(first, min(first + ROWS, len(owners)))
            for row, outs in zip(rows, self._classify(encoded, rows), strict=True):
                offsets = encoded["offset_mapping"][row]
                spans[owners[row]] += [
                    _Span(start, end, is_out)
                    for (start, end), is_out in zip(offsets, outs, strict=True)
                    if end > start  # special tokens are empty
                ]
        yield from spans

    def _classify(self, encoded: Any, rows: range) -> list[list[bool]]:
        """Whether each token of each row is to be removed, padding left out."""
        import torch

        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        padded = self._tokenizer.pad(
            {name: [encoded[name][row] for row in rows] for name in names},
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            best = self._model(**padded).logits.argmax(dim=-1).tolist()
        lengths = [len(encoded["input_ids"][row]) for row in rows]
        return [
            [label == self._remove for label in labels[:length]]
            for labels, length in zip(best, lengths, strict=True)
        ]


def _cut(sentence: str, votes: list[_Span]) -> tuple[str, tuple[str, ...]]:
    """What stays of a sentence, with its own characters, and the runs of words that went."""
    words = list(_WORD.finditer(sentence))
    outs = [_is_out(sentence, word.start(), word.end(), votes) for word in words]
    if not any(outs):
        return sentence, ()
    runs: list[list[str]] = []
    for index, (word, is_out) in enumerate(zip(words, outs, strict=True)):
        if is_out and index and outs[index - 1]:
            runs[-1].append(word.group())
        elif is_out:
            runs.append([word.group()])
    kept = [word.group() for word, is_out in zip(words, outs, strict=True) if not is_out]
    rest = _tidy(" ".join(kept), sentence)
    if not any(character.isalnum() for character in rest):
        return "", (sentence,)
    return rest, tuple(" ".join(run) for run in runs)


def _is_out(sentence: str, start: int, end: int, votes: list[_Span]) -> bool:
    """The majority of a word's tokens, punctuation aside; the first token settles a tie."""
    inside = [vote for vote in votes if vote.start < end and vote.end > start]
    told = [vote for vote in inside if any(map(str.isalnum, sentence[vote.start : vote.end]))]
    ballots = [vote.is_out for vote in told or inside]
    if not ballots:
        return False
    lead = 2 * sum(ballots) - len(ballots)
    return lead > 0 or (lead == 0 and ballots[0])


def _tidy(rest: str, sentence: str) -> str:
    """The edges of a cut sentence: no stray comma, a capital in front, its own full stop."""
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
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise ValueError(
            f"{folder} holds no .safetensors weights, and no other kind is read: convert the "
            "model with save_pretrained of transformers"
        )
    return found


def _labels(folder: Path) -> dict[int, str]:
    """Index -> label of config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return {int(key): str(value) for key, value in config.get("id2label", {}).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no configuration of a token classifier: {error}") from error


def _remove_label(folder: Path, labels: dict[int, str]) -> int:
    found = [index for index, label in labels.items() if label.strip().lower() == REMOVE]
    if len(found) != 1:
        raise ValueError(
            f"{folder} has the labels {', '.join(labels.values()) or 'none'}: exactly one must be "
            f'called "{REMOVE}"'
        )
    return found[0]


def _load(folder: Path, device: str) -> tuple[Any, Any]:
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
    except Exception as error:  # damaged folders fail in many ways
        raise ValueError(f"{folder} cannot be opened as a token classifier: {error}") from error
    if not tokenizer.is_fast:
        raise ValueError(f"{folder} has no tokenizer.json: a fast tokenizer is needed for offsets")
    return tokenizer, model.to(device).eval()


def _limit(tokenizer: Any, model: Any) -> int:
    """Tokens a window; two less than there are positions, as some models count from two."""
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    return int(min(tokenizer.model_max_length, positions - 2))
