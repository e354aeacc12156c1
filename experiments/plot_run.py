"""Held-out losses and image gaps of one or more runs, drawn from their metrics.jsonl.

    python experiments/plot_run.py out.png "3e-4=runs/a/metrics.jsonl" "1e-3=runs/b/metrics.jsonl"

Left: loss per target token on held-out patients. Right: what another patient's image costs;
zero means that the model does not look. Needs matplotlib (extra `track`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", ":", "-.")


def series(path: Path, prefix: str) -> dict[str, list[tuple[int, float]]]:
    """Task -> (step, value) of every "<prefix>/<task>" in the file."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        for key, value in values.items():
            group, _, task = key.partition("/")
            if group == prefix and task and task != "loss":
                found.setdefault(task, []).append((values["step"], value))
    return found


def main(out: str, *runs: str) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for place, (axis, prefix, title) in enumerate(
        zip(
            axes,
            ("validate", "image_gap"),
            ("held-out loss per token (nats)", "added by another patient's image (nats)"),
            strict=True,
        )
    ):
        for dash, run in zip(DASHES, runs, strict=False):
            name, _, path = run.rpartition("=")
            for colour, (task, points) in zip(
                COLOURS, series(Path(path), prefix).items(), strict=False
            ):
                steps, values = zip(*points, strict=True)
                label = f"{task} {name}".strip()
                axis.plot(steps, values, dash, color=colour, label=label, linewidth=1.6)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if place == 0:
            axis.set_ylim(0, 2.5)  # the first steps fall from the vocabulary's 6.7
            axis.legend(fontsize=8, ncols=len(runs))
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
