"""The training runs of the packaged model: configurations, thinned curves and hours.

    python experiments/packaged_model_curves.py experiments/packaged-model runs/pretrain \\
        runs/pretrain-2 runs/diffvqa-3

Writes NAME.config.yaml and NAME.metrics.csv (every validation line, and as many training lines as
fit in 95 kB) for each run folder, curves.png and README.md. Needs matplotlib.
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
        for key in ("init_encoder", "init_model"):  # names only, no paths of this machine
            if config.get(key):
                config[key] = Path(config[key]).name
        text = yaml.safe_dump(config, sort_keys=False)
        (folder / f"{run.name}.config.yaml").write_text(text, encoding="utf-8")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")]
        table, kept = thin_curves(lines)
        (folder / f"{run.name}.metrics.csv").write_text(table, encoding="utf-8")
        rows.append({**describe_run(run, config, lines), "training lines": kept})
    curves = [f"{Path(run).name}={run}/metrics.jsonl" for run in runs]
    plot_run.main(str(folder / "curves.png"), *curves)
    (folder / "README.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


def thin_curves(lines: list[dict[str, float]], limit: int = MAX_BYTES) -> tuple[str, str]:
    """The lines as CSV of at most `limit` bytes, and how many training lines are kept."""
    training = [line for line in lines if "loss" in line]
    validation = [line for line in lines if "loss" not in line]
    columns = list(dict.fromkeys(key for line in lines for key in line))
    for stride in range(1, len(training) + 2):
        kept_training = training[stride - 1 :: stride]
        kept = validation + kept_training
        kept.sort(key=lambda line: (line["step"], "loss" in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for line in kept:
            writer.writerow({key: f"{value:.6g}" for key, value in line.items()})
        if len(text.getvalue().encode()) <= limit:
            return text.getvalue(), f"{len(kept_training)} of {len(training)}"
    raise ValueError(f"the {len(validation)} validation lines need more than {limit} bytes")


def hours(run: Path) -> float:
    """Time of all logged steps; a step that was repeated after a kill counts twice."""
    lines = (run / "timing.jsonl").open(encoding="utf-8")
    return sum(json.loads(line)["seconds"] for line in lines) / 3600


def describe_run(
    run: Path, config: dict[str, object], lines: list[dict[str, float]]
) -> dict[str, str]:
    """The column of one run in the table of the page."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    train = config["train"]
    assert isinstance(train, dict)
    losses = [line["validate/loss"] for line in lines if "validate/loss" in line]
    initial = config.get("init_model") or config["init_encoder"] or "random weights"
    return {
        "run": run.name,
        "preset": str(config["name"]),
        "initial weights": str(initial),
        "seed": str(train["seed"]),
        "steps": f"{int(lines[-1]['step'])} of {train['steps']}",
        "batch size": str(train["batch_size"]),
        "hours": f"{hours(run):.2f}",
        "ranks, threads, device": ", ".join(str(facts[n]) for n in ("ranks", "threads", "device")),
        "torch": str(facts["torch"]),
        "data fingerprint": str(facts["data"])[:16],
        "validation loss, first to last": f"{losses[0]:.3f} to {losses[-1]:.3f}" if losses else "-",
    }


def page(rows: list[dict[str, str]]) -> str:
    """README.md of the folder."""
    title = "# Training of the packaged model"
    source = "Written by `experiments/packaged_model_curves.py`."
    lines = ["| " + " | ".join(("", *(row["run"] for row in rows))) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for name in list(rows[0])[1:]:
        lines.append("| " + " | ".join((name, *(row[name] for row in rows))) + " |")
    configurations, curves = (
        ", ".join(f"[{row['run']}]({row['run']}.{suffix})" for row in rows)
        for suffix in ("config.yaml", "metrics.csv")
    )
    files = f"Resolved configurations: {configurations}; curves: {curves}."
    picture = "![Validation losses and image gaps](curves.png)"
    notice = "Simulated patients only. Research use only: not a medical device, and no diagnosis."
    return "\n\n".join((title, source, "\n".join(lines), files, picture, notice)) + "\n"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
