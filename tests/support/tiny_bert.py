"""A BERT of three layers and thirty words, weights from a numpy seed, as transformers saves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "main",
    "image",
    "has",
    "an",
    "additional",
    "finding",
    "of",
    "edema",
    "than",
    "reference",
    "is",
    "missing",
    "small",
    "effusion",
    "no",
    "new",
    "left",
    "right",
    "lung",
    ".",
    ",",
    "nothing",
    "changed",
]


def write_tiny_bert(folder: Path) -> Path:
    """Write config.json, the tokenizer and safetensors weights; returns the folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(
        vocab={word: place for place, word in enumerate(WORDS)}, model_max_length=40
    )
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    model = BertModel(config)
    generator = np.random.default_rng(7)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.ndim < 2:  # biases and norms stay, else all vectors point the same way
                continue
            values = generator.normal(0.0, 0.3, size=tuple(weight.shape))
            weight.copy_(torch.tensor(values, dtype=weight.dtype))
    model.save_pretrained(folder)
    return folder
