"""Plot the validation losses and image gaps of runs from their metrics.jsonl.

    python experiments/plot_run.py out.png "3e-4=runs/a/metrics.jsonl" "1e-3=runs/b/metrics.jsonl"

Left: loss per target token on validation patients. Right: the loss that the image of another
patient adds; zero means that the model ignores its images. Needs matplotlib (extra `track`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.lines import Line2D

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # of the tasks
DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 4)))  # of the runs
PLAIN = "#444444"


def series(path: Path, prefix: str) -> dict[str, list[tuple[int, float]]]:
    """Task -> (step, value) of every "<prefix>/<task>" in the file."""
    points: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        for key, value in values.items():
            group, _, task = key.partition("/")
            if group == prefix and task and task != "loss":
                points.setdefault(task, []).append((values["step"], value))
    return points


def main(out: str, *runs: str) -> None:
    if len(runs) > len(DASHES):
        raise ValueError(f"got {len(runs)} runs, and one figure shows at most {len(DASHES)}")
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.6), constrained_layout=True)
    colours: dict[str, str] = {}
    dashes = dict(zip((run.rpartition("=")[0] for run in runs), DASHES, strict=False))
    titles = ("validation loss per token (nats)", "added by another patient's image (nats)")
    for axis, prefix, title in zip(axes, ("validate", "image_gap"), titles, strict=True):
        for run in runs:
            name, _, path = run.rpartition("=")
            for task, points in series(Path(path), prefix).items():
                colour = colours.setdefault(task, COLOURS[len(colours) % len(COLOURS)])
                steps, values = zip(*points, strict=True)
                axis.plot(steps, values, linestyle=dashes[name], color=colour, linewidth=1.6)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 2.5)  # the first steps fall from the vocabulary's 6.7
    keys = [Line2D([], [], color=colour, label=task) for task, colour in colours.items()]
    if any(dashes):
        keys += [
            Line2D([], [], color=PLAIN, linestyle=dash, label=name) for name, dash in dashes.items()
        ]
    figure.legend(
        handles=keys,
        loc="outside lower center",
        ncols=min(len(keys), 6),
        fontsize=8,
        frameon=False,
        handlelength=3.5,
    )
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
