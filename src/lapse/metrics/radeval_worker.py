"""The part of `lapse.metrics.radeval` that runs in the Python of the user's RadEval installation.

Standard input: {"metrics": [...], "references": [...], "answers": [...]}. Standard output: one line
of JSON, metric key -> one number per answer. Imports nothing of lapse.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec


def compute(
    metrics: list[str], references: list[str], answers: list[str]
) -> dict[str, list[float]]:
    """The scores of every answer.

    RadGraph-F1 comes from the package radgraph where it is installed, because RadEval 2.2.1 cannot
    import its own copy on a file system that distinguishes cases.
    """
    values: dict[str, list[float]] = {}
    others = list(metrics)
    if "radgraph" in metrics and find_spec("radgraph") is not None:
        others.remove("radgraph")
        f1 = import_module("radgraph").F1RadGraph(reward_level="all", model_type="radgraph-xl")
        by_level = f1(refs=references, hyps=answers)[1]
        for level, column in zip(("simple", "partial", "complete"), by_level, strict=True):
            values[f"radgraph_{level}"] = list(map(float, column))
    if others:
        if find_spec("radeval") is None:
            raise ValueError(f"{sys.executable} has no package radeval: pip install RadEval")
        package = import_module("radeval")
        scorer = package.RadEval(metrics=others, per_sample=True, show_progress=False)
        for name, column in scorer(refs=references, hyps=answers).items():
            values[name] = list(map(float, column))
    return values


def main() -> int:
    """Read the request, compute, print the answer; 1 with a sentence on standard error."""
    request = json.load(sys.stdin)
    try:
        with redirect_stdout(sys.stderr):  # progress of the packages is not part of the answer
            values = compute(request["metrics"], request["references"], request["answers"])
    except Exception as error:  # of any package: the caller prints one sentence
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
