"""BERTScore: words of answer and reference matched by their BERT vectors.

Greedy matching of the vectors of one layer without idf weights, the default of the package
bert-score 0.3.13, with equal values: a word may be matched with a start or end token, but the
match of such a token does not count. An empty text scores 0 and is counted (that package fails on
it). The layer is an option and is printed: by default the one at three quarters, 9 of 12. Weights
are read from safetensors only, from a folder or from the hub at a pinned revision. Source: Zhang
et al. 2020, arXiv:1904.09675.

Dimension legend: B texts, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.core.extras import check_extra
from lapse.core.hub import FORM, parse_hub_id
from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import mean_score

PARTS = ("precision", "recall", "F1")


@dataclass(frozen=True, slots=True)
class BertChoice:
    """The model, its layer, and whether the scores are rescaled.

    Attributes:
        model: a folder as transformers saves it, or a hub id "org/name@<40 hex digits>".
        layer: 1 for the first; None for three quarters of them.
        baseline: the score b of unrelated texts: values become (value - b) / (1 - b). None: off.
        batch_size: texts in one pass.
    """

    model: str
    layer: int | None = None
    baseline: float | None = None
    batch_size: int = 64

    def __post_init__(self) -> None:
        if not Path(self.model).is_dir() and parse_hub_id(self.model) is None:
            raise ValueError(
                f"BERTScore model {self.model!r} is neither a folder nor a hub id with a pinned "
                f"revision ({FORM})"
            )
        if self.baseline is not None and not 0.0 <= self.baseline < 1.0:
            raise ValueError(f"a BERTScore baseline of {self.baseline}: it must be in [0, 1)")
        if self.batch_size < 1:
            raise ValueError(f"BERTScore batches of {self.batch_size}: at least one text")


class BertScore:
    """(predictions) -> BERTScore precision, recall and F1 with their per-sample values."""

    names = tuple(f"BERTScore {part}" for part in PARTS)

    def __init__(self, choice: BertChoice) -> None:
        self.choice = choice
        self._model: _Bert | None = None

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the predictions; of several references the best counts, for each part.

        Raises:
            ValueError: no prediction, transformers is missing, or the model cannot be read.
        """
        if not predictions:
            raise ValueError("BERTScore needs at least one prediction, got none")
        if self._model is None:
            self._model = _Bert(self.choice)
        pairs = [(item.prediction, text) for item in predictions for text in item.references]
        distinct = list(dict.fromkeys(pairs))
        by_pair = dict(zip(distinct, self._model.score(distinct), strict=True))
        values = np.array(
            [
                np.max([by_pair[item.prediction, text] for text in item.references], axis=0)
                for item in predictions
            ]
        )  # [n, 3]
        empty = sum(not answer.strip() or not text.strip() for answer, text in pairs)
        base = self.choice.baseline
        details = self._model.details() | {
            "empty texts": str(empty),
            "rescaled": "no" if base is None else f"with baseline {base}",
        }
        if base is not None:
            values = (values - base) / (1 - base)
        value_range = (-1.0, 1.0) if base is None else None
        return {
            name: mean_score(name, values[:, part].tolist(), details, value_range=value_range)
            for part, name in enumerate(self.names)
        }


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of a text: vectors [T, D], and [T] whether each is a word (no start or end)."""

    vectors: NDArray[np.float32]
    is_word: NDArray[np.bool_]


class _Bert:
    """A BERT and its tokenizer, on the GPU where there is one."""

    def __init__(self, choice: BertChoice) -> None:
        check_extra("metrics", ["transformers"], "BERTScore")
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.choice = choice
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        options: dict[str, Any] = {"trust_remote_code": False}
        name, hub_id = choice.model, parse_hub_id(choice.model)
        if hub_id is None or Path(choice.model).is_dir():
            options["local_files_only"] = True
        else:
            name, options["revision"] = hub_id
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(name, **options)
            self.model = AutoModel.from_pretrained(name, use_safetensors=True, **options)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ValueError(
                f"the BERT {choice.model} cannot be read: {' '.join(str(error).split())[:300]}; "
                "it needs config.json, a tokenizer and safetensors weights (convert others with "
                "save_pretrained)"
            ) from None
        self.model = self.model.float().to(self.device).eval()
        self.num_layers = int(self.model.config.num_hidden_layers)
        self.layer = max(1, round(0.75 * self.num_layers)) if choice.layer is None else choice.layer
        if not 1 <= self.layer <= self.num_layers:
            raise ValueError(
                f"BERTScore layer {self.layer}: {choice.model} has 1 to {self.num_layers}"
            )
        self.truncated = 0

    def details(self) -> dict[str, str]:
        """The details of every score of this model."""
        name = Path(self.choice.model).name if Path(self.choice.model).is_dir() else ""
        return {
            "model": name or self.choice.model,
            "layer": f"{self.layer} of {self.num_layers}",
            "idf": "no",
            "device": self.device.type,
            "cut to the longest input": str(self.truncated),
        }

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """[n, 3] precision, recall and F1 of (answer, reference); 0 where either is empty."""
        vectors = self._embed(sorted({text.strip() for pair in pairs for text in pair}))
        scores = np.zeros((len(pairs), 3))
        for row, (text, reference) in enumerate(pairs):
            answer, target = vectors.get(text.strip()), vectors.get(reference.strip())
            if answer is None or target is None:
                continue
            if not answer.is_word.any() or not target.is_word.any():
                continue
            similarity = answer.vectors @ target.vectors.T  # [T, T]
            precision = float(similarity.max(axis=1)[answer.is_word].mean())
            recall = float(similarity.max(axis=0)[target.is_word].mean())
            total = precision + recall
            scores[row] = precision, recall, 2 * precision * recall / total if total else 0.0
        return scores

    def _embed(self, texts: Sequence[str]) -> dict[str, _Tokens]:
        """Text -> the unit vectors of its tokens, without padding."""
        import torch

        limit = int(self.model.config.max_position_embeddings)
        limit = min(limit, int(self.tokenizer.model_max_length))
        ordered = sorted(filter(None, texts), key=len, reverse=True)
        tokens: dict[str, _Tokens] = {}
        for start in range(0, len(ordered), self.choice.batch_size):
            group = ordered[start : start + self.choice.batch_size]
            lengths = [len(ids) for ids in self.tokenizer(group, verbose=False)["input_ids"]]
            self.truncated += sum(length > limit for length in lengths)
            batch = self.tokenizer(
                group,
                padding=True,
                truncation=True,
                max_length=limit,
                return_special_tokens_mask=True,
                return_tensors="pt",
            )
            special = batch.pop("special_tokens_mask").bool()
            with torch.inference_mode():
                states = self.model(
                    input_ids=batch["input_ids"].to(self.device),
                    attention_mask=batch["attention_mask"].to(self.device),
                    output_hidden_states=True,
                ).hidden_states[self.layer]  # [B, T, D]
                states = torch.nn.functional.normalize(states, dim=-1).cpu()
            real = batch["attention_mask"].bool()
            for row, text in enumerate(group):
                mask = real[row]
                tokens[text] = _Tokens(states[row][mask].numpy(), (~special[row][mask]).numpy())
        return tokens
