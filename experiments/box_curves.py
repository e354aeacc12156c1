"""What made the model in the box: configurations, thin curves and hours of its runs, in order.

    python experiments/box_curves.py docs/box-model runs/pretrain runs/pretrain-2 runs/diffvqa-3

Each run stands under the name of its folder. Writes NAME.config.yaml and NAME.metrics.csv (every
held-out line and as many training lines as fit in 95 kB) of each, curves.png and README.md. Needs
matplotlib.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import plot_run
import yaml

MAX_BYTES = 95_000  # of one table of curves


def main(out: str, *runs: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for run in map(Path, runs):
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        for key in ("init_encoder", "init_model"):  # where it lay on a disk is nobody's business
            if config.get(key):
                config[key] = Path(config[key]).name
        text = yaml.safe_dump(config, sort_keys=False)
        (folder / f"{run.name}.config.yaml").write_text(text, encoding="utf-8")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")]
        table, every = thinned(lines)
        (folder / f"{run.name}.metrics.csv").write_text(table, encoding="utf-8")
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        rows.append(told(run.name, config, lines, facts, hours(run)) | {"training lines": every})
    curves = [f"{Path(run).name}={run}/metrics.jsonl" for run in runs]
    plot_run.main(str(folder / "curves.png"), *curves)
    (folder / "README.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


def thinned(lines: list[dict[str, float]], limit: int = MAX_BYTES) -> tuple[str, str]:
    """The lines as CSV of at most `limit` bytes, and in words which training lines are kept."""
    training = [line for line in lines if "loss" in line]
    others = [line for line in lines if "loss" not in line]
    columns = list(dict.fromkeys(key for line in lines for key in line))
    for every in range(1, len(training) + 2):
        kept = others + training[every - 1 :: every]
        kept.sort(key=lambda line: (line["step"], "loss" in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for line in kept:
            writer.writerow({key: f"{value:.6g}" for key, value in line.items()})
        if len(text.getvalue().encode()) <= limit:
            kept_lines = len(training[every - 1 :: every])
            return text.getvalue(), f"{kept_lines} of {len(training)}"
    raise ValueError(f"{len(others)} held-out lines alone are more than {limit} bytes")


def hours(run: Path) -> float:
    """Time of all logged steps; a step done twice after a kill counts twice."""
    lines = (run / "timing.jsonl").open(encoding="utf-8")
    return sum(json.loads(line)["seconds"] for line in lines) / 3600


def told(
    name: str,
    config: dict[str, object],
    lines: list[dict[str, float]],
    facts: dict[str, object],
    spent: float,
) -> dict[str, str]:
    """What stands in the table of the page about one run."""
    loop = config["train"]
    assert isinstance(loop, dict)
    held_out = [line for line in lines if "validate/loss" in line]
    return {
        "run": name,
        "preset": str(config["name"]),
        "begins with": str(config.get("init_model") or config["init_encoder"] or "random weights"),
        "seed": str(loop["seed"]),
        "steps": f"{int(lines[-1]['step'])} of {loop['steps']}",
        "rows of a step": str(loop["batch_size"]),
        "hours": f"{spent:.2f}",
        "ranks, threads, device": ", ".join(str(facts[n]) for n in ("ranks", "threads", "device")),
        "torch": str(facts["torch"]),
        "data fingerprint": str(facts["data"])[:16],
        "held-out loss, first to last": " to ".join(
            f"{line['validate/loss']:.3f}" for line in (held_out[0], held_out[-1])
        )
        if held_out
        else "-",
    }


def page(rows: list[dict[str, str]]) -> str:
    """README.md of the folder."""
    head = "# How the model in the box was trained\n\nWritten by `experiments/box_curves.py`."
    names = list(rows[0])
    lines = ["| " + " | ".join(("", *(row["run"] for row in rows))) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for name in names[1:]:
        lines.append("| " + " | ".join((name, *(row[name] for row in rows))) + " |")
    files = "Resolved configurations: " + ", ".join(
        f"[{row['run']}]({row['run']}.config.yaml)" for row in rows
    )
    tables = "curves: " + ", ".join(f"[{row['run']}]({row['run']}.metrics.csv)" for row in rows)
    picture = "![Held-out losses and image gaps](curves.png)"
    notice = "Simulated patients only. Research use only: not a medical device, and no diagnosis."
    return "\n\n".join((head, "\n".join(lines), f"{files}; {tables}.", picture, notice)) + "\n"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
