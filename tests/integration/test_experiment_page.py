"""The results page of the experiment is computed from the files of its runs by the fixed rules."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import experiment_page
from experiment_scores import BLIND, Run, arms_of, blind_endpoints, endpoints_of

from lapse.core.changes import invert, render
from lapse.core.grammar import parse
from lapse.core.types import Prediction
from lapse.evaluation.predictions.jsonl import write_predictions

TRUE = "the main image has an additional finding of edema than the reference image."
FALSE = "the main image is missing the finding of pneumonia than the reference image."
NUM_QUESTIONS = 120


def write_run(
    results: Path,
    arm: str,
    seed: int,
    num_right: int,
    *,
    image_gap: float = 0.1,
    validation_loss: float = 1.0,
) -> None:
    """A finished run whose first answers are right and whose others are wrong."""
    folder = results / f"{arm}-{seed}"
    folder.mkdir(parents=True)
    answers = [TRUE if index < num_right else FALSE for index in range(NUM_QUESTIONS)]
    for name, suffix in (
        ("test", ""),
        ("test-swap", "#swap"),
        ("validate", ""),
        ("validate-swap", "#swap"),
    ):
        items = [
            Prediction(
                f"diff_vqa/{index}{suffix}",
                "diff_vqa",
                render(invert(parse(text).changes)) if suffix else text,
                (TRUE,),
                patient=str(index // 2),
            )
            for index, text in enumerate(answers)
        ]
        plain = folder / f"predictions-{name}.jsonl"
        write_predictions(plain, items)
        with gzip.open(f"{plain}.gz", "wb") as packed:
            packed.write(plain.read_bytes())
        plain.unlink()
    with gzip.open(folder / "log-probability.jsonl.gz", "wt") as packed:
        for index in range(NUM_QUESTIONS):
            loss = -1.0 if index < num_right else -20.0
            row = {"id": f"diff_vqa/{index}", "log_probability": loss, "tokens": 10}
            packed.write(json.dumps(row) + "\n")
    lines = [
        {"step": step, "validate/loss": validation_loss, "image_gap/diff_vqa": image_gap}
        for step in (0, 250)
    ]
    metrics = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "2-diffvqa-metrics.jsonl").write_text(metrics)
    facts = {"torch": "2", "device": "cpu", "commit": "abc", "data": {"data release": "simulated"}}
    (folder / "facts.json").write_text(json.dumps(facts))


def verdicts(results: Path) -> dict[str, str]:
    """Arm -> what the rules say."""
    runs = [endpoints_of(Run(path)) for path in sorted(results.iterdir())]
    names = {key: key for key in ("ours", "cap", "global", "parallel-0")}
    arms = arms_of(runs, "ours", names)
    return {item.arm.key: item.verdict for item in experiment_page.decisions_of(arms)}


def test_the_rules_decide_each_claim(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        write_run(tmp_path, "ours", seed, 90 + seed)
        write_run(tmp_path, "cap", seed, 50)
        write_run(tmp_path, "global", seed, 90 + seed)
        write_run(tmp_path, "parallel-0", seed, 76 + seed)
    assert verdicts(tmp_path) == {
        "cap": "holds here",
        "global": "does not hold here",
        "parallel-0": "undecided here",
    }


def test_a_claim_with_a_missing_seed_is_not_decided(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "ours", seed, 90 + seed)
        write_run(tmp_path, "cap", seed, 50)
    expected = "no decision yet: 1 of 3 seeds missing (so far: holds here)"
    assert verdicts(tmp_path) == {"cap": expected}


def test_a_blind_reference_decides_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "ours", 0, 90, image_gap=0.001)
    write_run(tmp_path, "cap", 0, 50)
    assert verdicts(tmp_path)["cap"].startswith("undecided here")


def test_an_arm_becomes_a_preset_by_its_validation_scores(tmp_path: Path) -> None:
    write_run(tmp_path, "ours", 0, 60)
    write_run(tmp_path, "pairs", 0, 90, validation_loss=1.006)
    write_run(tmp_path, "difference", 0, 62)
    write_run(tmp_path, "parallel-0", 0, 64, validation_loss=1.004)
    runs = [endpoints_of(Run(path)) for path in sorted(tmp_path.iterdir())]
    names = {key: key for key in ("ours", "pairs", "difference", "parallel-0")}
    lines = experiment_page.candidate_section(arms_of(runs, "ours", names))
    presets = {
        line.split("`")[1]: line.split(" | ")[-1] for line in lines if line.startswith("| `")
    }
    assert presets == {
        "ours": "- |",
        "pairs": "none |",  # its loss is too high
        "difference": "none |",  # its gain is too small
        "parallel-0": "`pretrain-lapse-plus` |",
    }


def test_scores_are_means_over_seeds(tmp_path: Path) -> None:
    write_run(tmp_path, "ours", 0, 60)
    write_run(tmp_path, "ours", 1, 90)
    runs = [endpoints_of(Run(path)) for path in sorted(tmp_path.iterdir())]
    (arm,) = arms_of(runs, "ours", {"ours": "ours"})
    assert arm.scores["exact match"].value == pytest.approx((60 + 90) / 2 / NUM_QUESTIONS)
    nll = (60 * 1 + 60 * 20 + 90 * 1 + 30 * 20) / 2 / (10 * NUM_QUESTIONS)
    assert arm.scores["NLL per token"].value == pytest.approx(nll)
    assert arm.scores["swap law"].value == 1.0
    assert arm.scores["exact match"].details["range"] == "0.500 to 0.750"


def test_the_page_and_its_figures_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    (docs / "explanation").mkdir()
    write_run(results, "ours", 0, 90)
    write_run(results, "cap", 0, 50)
    random = {f"diff_vqa/{index}": TRUE for index in range(NUM_QUESTIONS)}
    (results / BLIND).write_text(json.dumps({"random training answer": random}))
    arguments = ["page", "--results", str(results), "--docs", str(docs)]
    monkeypatch.setattr(sys, "argv", arguments)
    experiment_page.main()
    text = (docs / experiment_page.PAGE).read_text()
    assert "2 of 48 planned runs are finished" in text
    assert "no decision yet: 2 of 3 seeds missing (so far: holds here)" in text
    assert "| random training answer (image-blind) |" in text
    assert (docs / "images" / "experiment-forest.png").stat().st_size > 5000
    answers = Run(results / "ours-0").predictions("test")
    blind = blind_endpoints(answers, results)
    assert {name: item.scores["exact match"].value for name, item in blind.items()} == {
        "nothing has changed": 0.0,
        "random training answer": 1.0,
    }
    del random["diff_vqa/7"]
    (results / BLIND).write_text(json.dumps({"random training answer": random}))
    with pytest.raises(ValueError, match=r"no answer to 1 questions, such as diff_vqa/7"):
        blind_endpoints(answers, results)
