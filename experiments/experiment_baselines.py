"""Image-blind answers to the questions of the experiment: writes RESULTS/blind.json.

    python experiments/experiment_baselines.py --results experiments/results --data store128

The constant answer with the best n-gram scores and a random training answer come from the train
split of the store. The questions are those of any finished run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiment_scores import BLIND, Run

from lapse.core.files import write_text
from lapse.data.store.store import open_store
from lapse.evaluation.blind_baselines import blind_baselines


def main() -> None:
    """Answer the questions, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    folder = min(path.parent for path in args.results.glob("*-*/facts.json"))
    answers = Run(folder).predictions("test")
    texts = {
        name: {item.id: item.prediction for item in items}
        for name, items in blind_baselines(open_store(args.data), answers).items()
    }
    write_text(args.results / BLIND, json.dumps(texts, indent=0) + "\n")
    print(args.results / BLIND, ", ".join(texts))


if __name__ == "__main__":
    main()
