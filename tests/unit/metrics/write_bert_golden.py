"""Write bert_golden.json: the scores of the package bert-score with tiny_bert's model.

    PYTHONPATH=tests/support python tests/unit/metrics/write_bert_golden.py

Needs bert-score 0.3.13 and pandas, and nothing of lapse.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from tiny_bert import write_tiny_bert

GOLDEN = Path(__file__).parent / "bert_golden.json"
LAYER = 2
PAIRS = [
    ["the main image has an additional finding of edema.", "the main image has no edema."],
    ["nothing changed", "nothing changed"],
    ["small effusion, left lung", "no new effusion right"],
    ["edema", "the main image is missing the finding of unheard words than the reference image."],
]


def main() -> None:
    """Score the pairs and write them with their origin."""
    from bert_score import score

    with tempfile.TemporaryDirectory() as scratch:
        folder = write_tiny_bert(Path(scratch))
        answers, references = zip(*PAIRS, strict=True)
        parts = score(list(answers), list(references), model_type=str(folder), num_layers=LAYER)
    names = ("precision", "recall", "F1")
    values = {
        "origin": f"bert-score {version('bert-score')}, transformers {version('transformers')}, "
        "idf off, no baseline; command: python tests/unit/metrics/write_bert_golden.py",
        "layer": LAYER,
        "pairs": PAIRS,
        "scores": {f"BERTScore {n}": p.tolist() for n, p in zip(names, parts, strict=True)},
    }
    GOLDEN.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
