"""The page of promises: docs/explanation/promises.json, which tests write, as a table.

PYTHONPATH=docs python -m sitegen.promises
"""

from __future__ import annotations

import json
from pathlib import Path

PROMISES = {
    1: "A training that is killed ends with the same bits: weights, optimizer state and log.",
    9: "No weight file runs code; a changed bit, a foreign or a damaged file is refused.",
    10: "After a full disk the last checkpoint is intact, and the run continues to the same bits.",
    11: "A stop signal saves a checkpoint after the step in work; the run continues to the same "
    "bits.",
    12: "No weight that is not finite reaches a checkpoint.",
    13: "Workers and resuming change no bit of the result.",
    19: "Two ranks of which one is killed end with the same bits.",
}
HEAD = """# Promises

Each promise is held by tests that count their trials. A *sabotaged* trial runs without the guard
and must break the promise, so the test can fail. `python -m pytest --promises FILE` writes the
counts, and `PYTHONPATH=docs python -m sitegen.promises` makes this page from those in
`docs/explanation/promises.json`. Tests that are marked slow are included (`-m "slow or not slow"`).

| | promise | kept | sabotaged trials that broke it | tests |
|---|---|---|---|---|
"""
TAIL = """
## How the trials are sabotaged

| promise | guard that is removed |
|---|---|
| 1 | the optimizer state is not restored; the seed of dropout is not derived from the step |
| 13, 19 | the seed of dropout is not derived from the step |
| 9 | the manifest is not compared; a pickle is read |
| 10 | the checkpoint is written under its final name instead of a temporary one |
| 11 | no handler of stop signals: the process ends within the step and saves nothing |
| 12 | losses, gradients and weights are not checked |

The stop signals of promise 11 are SIGTERM, SIGHUP, SIGINT and SIGUSR1 to all processes of a run, in
both stages, with 0 and 2 worker processes, and SIGTERM and SIGHUP to torchrun with two ranks.
Promise 13 stops a run after each of its steps 1 to 40 with 0, 1 and 2 worker processes; this takes
9.5 minutes on two busy cores.

## Soak

`python experiments/soak.py WORK --minutes 30 --seed 0` trains and predicts in both stages, the
second with two worker processes, while commands are killed at random times, reach a random limit of
file sizes, or start twice at once. On 28 November 2026, on two cores that other programs used too
(load 12), 31.8 minutes gave:

| | count |
|---|---|
| runs (training and prediction) that ended | 15 |
| runs with the bits of the undisturbed run: weights, optimizer, state, log, predictions | 15 |
| commands killed or stopped by a signal (at 25 random times; 3 ended earlier) | 22 |
| commands with a random limit of file sizes | 10 |
| pairs of commands started at once | 9 |
| refusals, each one sentence with exit code 2 | 17 |
| lost checkpoints, lost predictions, tracebacks, other exit codes | 0 |
"""


def promises_page(path: Path) -> str:
    """The page as Markdown.

    Args:
        path: the counts by promise and test, as `pytest --promises` writes them.

    Raises:
        ValueError: a promise without a trial, or a trial that did not keep it.
    """
    counts = json.loads(path.read_text(encoding="utf-8"))
    if missing := [str(number) for number in PROMISES if str(number) not in counts]:
        raise ValueError(f"{path} has no count of promise {', '.join(missing)}: run its tests")
    lines = [_row(number, text, counts[str(number)]) for number, text in PROMISES.items()]
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _row(number: int, text: str, tests: dict[str, dict[str, int]]) -> str:
    kept, trials, broken, sabotaged = (
        sum(test[key] for test in tests.values())
        for key in ("kept", "trials", "broken", "sabotaged")
    )
    if kept != trials or broken != sabotaged:
        raise ValueError(f"promise {number}: {kept} of {trials} kept, {broken} of {sabotaged}")
    files = dict.fromkeys(name.partition("::")[0] for name in tests)
    names = ", ".join(f"`tests/{name}`" for name in files)
    twins = f"{broken}/{sabotaged}" if sabotaged else "-"
    return f"| {number} | {text} | {kept}/{trials} | {twins} | {names} |"


if __name__ == "__main__":
    counts = Path(__file__).parents[1] / "explanation" / "promises.json"
    counts.with_suffix(".md").write_text(promises_page(counts), encoding="utf-8")
