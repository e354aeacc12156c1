"""The results page of the packaged model: targets from scores; a target that is missed says so."""

import csv
import json
import sys
from pathlib import Path

import pytest

import tiny_store
from lapse.data.store.store import open_store

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
MODULES = ("packaged_model_page", "packaged_model_results", "packaged_model_curves", "plot_run")


@pytest.fixture
def experiments(monkeypatch):
    """Let the modules of experiments/ be imported as their commands import each other."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def page(experiments):
    import packaged_model_page

    return packaged_model_page


@pytest.fixture
def results(experiments):
    import packaged_model_results

    return packaged_model_results


def plain_score(name: str, value: float, low: float, high: float, **details: str) -> dict:
    return {name: {"name": name, "value": value, "low": low, "high": high, "per_sample": [],
                   "details": {"n": "40", **details}, "range": [0.0, 1.0],
                   "higher_is_better": not name.endswith("rate")}}  # fmt: skip


def scores(f1: float, low: float, acc: float, identity: float) -> tuple[dict, dict]:
    """Two scores files as `lapse evaluate` writes them."""
    change_f1 = plain_score("change F1", f1, low, 1.0)
    exact = plain_score("exact match", 0.5, 0.4, 0.6)
    edema = plain_score("edema F1", f1, low, 1.0, of="edema", kind="finding", true="9")
    carina = plain_score("Acc@0.5 carina", acc, 0.1, 1.0, of="carina", kind="region")
    facts = {"n": "40", "seed": "0", "data release": "1.0", "command": "x", "commit": "c"}
    group = {"kind of patient": {"counterfactual": plain_score("change F1", 0.6, 0.5, 0.7)}}
    pairs = {
        "provenance": facts,
        "scores": {
            "diff_vqa": change_f1 | exact | edema | plain_score("omission rate", 0.3, 0.2, 0.4),
            "consistency": plain_score("identity", identity, 0.5, 1.0),
        },
        "comparisons": {
            "/some/where/text-only.jsonl": {"diff_vqa": plain_score("change F1", 0.30, 0.2, 0.4)},
            "constant answer": {"diff_vqa": plain_score("change F1", 0.10, 0.0, 0.2)},
        },
        "subgroups": {"diff_vqa": group},
        "hidden_subgroups": {"diff_vqa": ["OOD group 'anatomy': 3 patients, 9 samples"]},
    }
    boxes = {
        "provenance": facts,
        "scores": {
            "caref": plain_score("Acc@0.5", acc, 0.8, 1.0) | carina,
            "gcap": plain_score("BLEU-4", 0.4, 0.3, 0.5),
        },
        "comparisons": {"mean box": {"caref": plain_score("Acc@0.5", 0.74, 0.7, 0.8)}},
        "subgroups": {},
        "hidden_subgroups": {},
    }
    return pairs, boxes


GUARDED = {
    "change precision": 0.85,
    "change recall": 0.50,
    "identity": 0.98,
    "swap law": 1.0,
    "unusual input rate": 0.02,
    "refused input rate": 0.0,
}


def write_files(folder: Path, sets: dict[str, tuple[dict, dict]], **guarded: float) -> Path:
    """The files of OUT; `guarded` changes guarded scores of all sets, with "_" for a blank."""
    values = GUARDED | {name.replace("_", " "): value for name, value in guarded.items()}
    rates = {}
    for name, value in values.items():
        rates |= plain_score(name, value, 0.0, 1.0)
    for name, (pairs, boxes) in sets.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "diffvqa.scores.json").write_text(json.dumps(pairs))
        (folder / name / "regions.scores.json").write_text(json.dumps(boxes))
        text = json.dumps({**pairs, "scores": {"guarded": rates}})
        (folder / name / "guarded.scores.json").write_text(text)
    answer = {"seconds": [2.0, 2.5, 4.0], "cores": 2, "output": ["answer: no"],
              "command": "lapse a", "equal": 9, "compared": 10}  # fmt: skip
    (folder / "answer.json").write_text(json.dumps(answer))
    return folder


def missed(page, folder: Path) -> list[str]:
    sets = [page.read_set(folder / name) for name in ("coarse", "fine", "portable")]
    targets = page.check_targets(sets)
    assert len(targets) == 3 + 2 + 3 + 3 * 6
    return [target.what for target in targets if not target.is_met]


GOOD = (0.70, 0.31, 0.90, 0.90)


def test_every_target_is_met_at_its_limit(page, tmp_path):
    sets = dict.fromkeys(("coarse", "fine"), scores(*GOOD)) | {
        "portable": scores(0.60, 0.31, 0.90, 0.90)
    }
    assert missed(page, write_files(tmp_path, sets)) == []


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("coarse", (0.699, 0.31, 0.90, 0.90), "change F1 of beam search, coarse tier"),
        ("portable", (0.599, 0.31, 0.90, 0.90), "change F1 of beam search, portable films"),
        ("fine", (0.70, 0.30, 0.90, 0.90), "interval of change F1 above the best image-blind "),
        ("fine", (0.70, 0.31, 0.74, 0.90), "boxes of named regions, Acc@0.5, fine tier"),
    ],
)
def test_a_missed_target_is_reported(page, tmp_path, name, values, what):
    sets = dict.fromkeys(("coarse", "fine", "portable"), scores(*GOOD))
    folder = write_files(tmp_path, sets | {name: scores(*values)})
    (target,) = missed(page, folder)
    assert target.startswith(what)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("change_precision", 0.849),
        ("change_recall", 0.499),
        ("identity", 0.979),
        ("swap_law", 0.999),
        ("unusual_input_rate", 0.021),
        ("refused_input_rate", 0.001),
    ],
)
def test_a_missed_target_of_guarded_answers_is_reported(page, tmp_path, name, value):
    sets = dict.fromkeys(("coarse", "fine", "portable"), scores(*GOOD))
    targets = missed(page, write_files(tmp_path, sets, **{name: value}))
    titles = ("coarse tier", "fine tier", "portable films")
    assert targets == [f"guarded answers: {name.replace('_', ' ')}, {title}" for title in titles]


def test_a_score_without_baselines_gets_no_verdict(page, tmp_path):
    pairs, boxes = scores(*GOOD)
    sets = dict.fromkeys(("coarse", "fine", "portable"), ({**pairs, "comparisons": {}}, boxes))
    with pytest.raises(ValueError, match="no baseline with 'change F1'"):
        missed(page, write_files(tmp_path, sets))


def test_the_page_has_tables_groups_commands_and_provenance(page, tmp_path):
    sets = {"coarse": scores(*GOOD), "portable": scores(0.2, 0.1, 0.5, 0.4)}
    folder = write_files(tmp_path / "out", sets)
    facts = {"commit of the code": "abc"}
    commands = ["lapse simulate coarse/raw"]
    path = page.write_page(tmp_path / "results.md", folder, ("coarse", "portable"), commands, facts)
    text = path.read_text("utf-8")
    assert "15 of 18 met" in text and text.count("**not met**") == 3
    assert "0.700 [0.310, 1.000] against 0.300 [0.200, 0.400]" in text and "(text-only)" in text
    assert "| kind of patient | counterfactual | 40 | 0.600 [0.500, 0.700] |" in text
    assert "Hidden, fewer than 50 patients or not read: OOD group" in text
    assert "| carina | 40 | 0.900 |" in text and "| edema | 9 |" in text
    assert "lapse simulate coarse/raw" in text and "commit of the code: abc" in text
    assert "/some/where" not in text and text.count("Research use only") == 2
    assert "the same text as the run for 9 of 10 pairs" in text
    rows = [line.split(" | ") for line in text.splitlines()]
    better = {row[0].strip("| "): row[-1].strip("| ") for row in rows}
    assert (better["change F1"], better["omission rate"]) == ("higher, 0 to 1", "lower, 0 to 1")


def test_groups_separate_ordinary_counterfactual_and_ood_patients(results, tmp_path):
    (tmp_path / "raw" / "phantom").mkdir(parents=True)
    lines = ["study_id,ref_id,quad,tail", "2,1,,", "4,3,both,", "6,5,,anatomy"]
    (tmp_path / "raw" / "phantom" / "pairs.csv").write_text("\n".join(lines) + "\n")
    results.write_groups(tmp_path)
    with (tmp_path / "groups-pairs.csv").open(newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [
            ["2", "1", "ordinary", "none", "none"],
            ["4", "3", "counterfactual", "both", "none"],
            ["6", "5", "OOD", "none", "anatomy"],
        ]
    with (tmp_path / "groups-studies.csv").open(newline="") as file:
        kinds = {row["study_id"]: row["kind of patient"] for row in csv.DictReader(file)}
    assert kinds["1"] == kinds["2"] == "ordinary"
    assert kinds["5"] == "OOD" and kinds["3"] == "counterfactual"


def test_results_of_another_plan_are_refused_and_ablations_may_be_added(results, tmp_path):
    plan = {"seed": 7001, "runs": {"pretrain": "a", "diffvqa": "b"}}
    (tmp_path / "coarse").mkdir()
    scored = tmp_path / "coarse" / "diffvqa.scores.json"
    scored.write_text("{}")
    results.check_plan(tmp_path, plan)
    results.check_plan(tmp_path, plan)
    assert scored.exists()
    with pytest.raises(ValueError, match="has results with seed 7001, not 1: give another"):
        results.check_plan(tmp_path, {**plan, "seed": 1})
    with pytest.raises(ValueError, match="has results with runs"):
        results.check_plan(tmp_path, {**plan, "runs": {"pretrain": "a", "diffvqa": "c"}})
    more = {**plan, "runs": {**plan["runs"], "text-only": "t"}}
    results.check_plan(tmp_path, more)
    assert not scored.exists()
    assert json.loads((tmp_path / "plan.json").read_text()) == more


def write_run(folder: Path, store: Path) -> Path:
    """The part of a run folder that names its data."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"data": open_store(store).info.fingerprint}))
    return folder


@pytest.mark.parametrize("stores", [(), ("--stage-1-store", "usual")])
def test_stage_1_trained_on_another_store_needs_that_store(results, tmp_path, monkeypatch, stores):
    usual, findings = (
        tiny_store.write(tmp_path / name, n) for name, n in (("usual", 12), ("findings", 9))
    )
    first, second = write_run(tmp_path / "1", findings), write_run(tmp_path / "2", usual)
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> None:
        words = [str(first), str(second), "--train-store", str(usual), "--out", "out", *options]
        monkeypatch.setattr(sys, "argv", ["packaged_model_results.py", *words])
        results.main()

    with pytest.raises(ValueError, match="give the store of the run with --train-store or --stage"):
        run(*stores)
    with pytest.raises(ValueError, match="no checkpoint"):  # the stores are right
        run("--stage-1-store", "findings")
    assert not (tmp_path / "out" / "plan.json").exists()


def test_a_command_is_shown_without_the_paths_of_this_machine(results, tmp_path):
    words = ("predict", "/home/me/runs/diffvqa", "--out", str(tmp_path / "coarse" / "x.jsonl"))
    assert results.show_command(words, tmp_path) == "lapse predict diffvqa --out coarse/x.jsonl"


def test_curves_are_thinned_and_every_validation_line_is_kept(experiments):
    pytest.importorskip("matplotlib")
    import packaged_model_curves

    lines = []
    for step in range(0, 4000, 10):
        lines.append({"step": step, "loss": 1.0 / (1 + step)})
        if step % 500 == 0:
            lines.append({"step": step, "validate/loss": 2.0 / (1 + step)})
    table, kept = packaged_model_curves.thin_curves(lines, 1200)
    rows = list(csv.DictReader(table.splitlines()))
    assert len(table.encode()) <= 1200
    assert sum(row["validate/loss"] != "" for row in rows) == 8
    num_training = sum(row["loss"] != "" for row in rows)
    assert kept == f"{num_training} of 400" and 20 < num_training < 400
    with pytest.raises(ValueError, match="validation lines need more than 50 bytes"):
        packaged_model_curves.thin_curves(lines, 50)
