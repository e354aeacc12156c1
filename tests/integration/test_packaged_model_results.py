"""The page of the model in the box: bars from scores, and what is not met is said to be not met."""

import csv
import json
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def box(monkeypatch):
    """The modules of experiments/, imported as their commands import each other."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import box_page
    import box_results

    yield box_page, box_results
    for name in ("box_page", "box_results"):
        sys.modules.pop(name, None)


def one(name: str, value: float, low: float, high: float, **details: str) -> dict:
    return {name: {"name": name, "value": value, "low": low, "high": high, "per_sample": [],
                   "details": {"n": "40", **details}}}  # fmt: skip


def scores(f1: float, low: float, acc: float, identity: float) -> tuple[dict, dict]:
    """Two scores files as `lapse evaluate` writes them."""
    edema = one("edema F1", f1, low, 1.0, of="edema", kind="finding", true="9")
    region = one("Acc@0.5 carina", acc, 0.1, 1.0, of="carina", kind="region")
    facts = {"n": "40", "seed": "0", "data release": "1.0", "command": "x", "commit": "c"}
    pairs = {
        "provenance": facts,
        "scores": {
            "diff_vqa": one("change F1", f1, low, 1.0) | one("exact match", 0.5, 0.4, 0.6) | edema,
            "consistency": one("identity", identity, 0.5, 1.0),
        },
        "comparisons": {
            "/some/where/text-only.jsonl": {"diff_vqa": one("change F1", 0.30, 0.2, 0.4)},
            "constant answer": {"diff_vqa": one("change F1", 0.10, 0.0, 0.2)},
        },
        "subgroups": {"diff_vqa": {"kind of patient": {"quad": one("change F1", 0.6, 0.5, 0.7)}}},
        "hidden_subgroups": {"diff_vqa": ["held-out tail 'anatomy': 3 patients, 9 samples"]},
    }
    boxes = {
        "provenance": facts,
        "scores": {
            "caref": one("Acc@0.5", acc, 0.8, 1.0) | region,
            "gcap": one("BLEU-4", 0.4, 0.3, 0.5),
        },
        "comparisons": {"mean box": {"caref": one("Acc@0.5", 0.74, 0.7, 0.8)}},
        "subgroups": {},
        "hidden_subgroups": {},
    }
    return pairs, boxes


def written(folder: Path, coarse: tuple[dict, dict], fine: tuple[dict, dict]) -> Path:
    for name, (pairs, boxes) in (("coarse", coarse), ("fine", fine)):
        (folder / name).mkdir(parents=True)
        (folder / name / "diffvqa.scores.json").write_text(json.dumps(pairs))
        (folder / name / "regions.scores.json").write_text(json.dumps(boxes))
    answer = {"seconds": [2.0, 2.5, 4.0], "cores": 2, "said": ["answer: no"], "command": "lapse a",
              "as the run": 9, "of": 10}  # fmt: skip
    (folder / "answer.json").write_text(json.dumps(answer))
    return folder


def verdicts(box_page, folder: Path, seconds: list[float]) -> list[bool]:
    tiers = [box_page.read_tier(folder / name) for name in ("coarse", "fine")]
    return [bar.is_met for bar in box_page.bars(tiers, seconds)]


GOOD = (0.75, 0.31, 0.90, 0.90)


def test_every_bar_is_met_at_its_edge(box, tmp_path):
    box_page, _ = box
    home = written(tmp_path, scores(*GOOD), scores(*GOOD))
    assert verdicts(box_page, home, [2.0, 2.9, 9.0]) == [True] * 8


@pytest.mark.parametrize(
    ("coarse", "fine", "seconds", "missed"),
    [
        ((0.749, 0.31, 0.90, 0.90), GOOD, 1.0, [0]),
        ((0.75, 0.30, 0.90, 0.90), GOOD, 1.0, [1]),
        (GOOD, (0.40, 0.29, 0.90, 0.90), 1.0, [2]),
        ((0.75, 0.31, 0.899, 0.90), GOOD, 1.0, [3]),
        (GOOD, (0.75, 0.31, 0.74, 0.90), 1.0, [4]),
        ((0.75, 0.31, 0.90, 0.899), GOOD, 1.0, [5]),
        (GOOD, (0.75, 0.31, 0.90, 0.10), 1.0, [6]),
        (GOOD, GOOD, 3.0, [7]),
    ],
)
def test_a_bar_that_is_missed_is_said_to_be(box, tmp_path, coarse, fine, seconds, missed):
    box_page, _ = box
    found = verdicts(box_page, written(tmp_path, scores(*coarse), scores(*fine)), [seconds])
    assert [place for place, is_met in enumerate(found) if not is_met] == missed


def test_a_score_without_blind_rows_gets_no_verdict(box, tmp_path):
    box_page, _ = box
    pairs, boxes = scores(*GOOD)
    home = written(tmp_path, ({**pairs, "comparisons": {}}, boxes), scores(*GOOD))
    with pytest.raises(ValueError, match="no baseline with 'change F1'"):
        verdicts(box_page, home, [1.0])


def test_the_page_shows_tables_groups_commands_and_where_it_comes_from(box, tmp_path):
    box_page, _ = box
    home = written(tmp_path / "out", scores(*GOOD), scores(0.2, 0.1, 0.5, 0.4))
    facts = {"commit of the code": "abc"}
    page = box_page.write_page(
        tmp_path / "results.md", home, ("coarse", "fine"), ["lapse simulate coarse/raw"], facts
    )
    text = page.read_text("utf-8")
    assert "5 of 8 met" in text and text.count("**not met**") == 3
    assert "0.750 [0.310, 1.000] against 0.300 [0.200, 0.400]" in text and "(text-only)" in text
    assert "| kind of patient | quad | 40 | 0.600 [0.500, 0.700] |" in text
    assert "Hidden, fewer than 50 patients: held-out tail" in text
    assert "| carina | 40 | 0.900 |" in text and "| edema | 9 |" in text
    assert "lapse simulate coarse/raw" in text and "commit of the code: abc" in text
    assert "/some/where" not in text and text.count("Research use only") == 2
    assert "the same text as the run for 9 of 10 pairs" in text


def test_groups_tell_ordinary_patients_quads_and_tails_apart(box, tmp_path):
    _, box_results = box
    (tmp_path / "raw" / "phantom").mkdir(parents=True)
    lines = ["study_id,ref_id,quad,tail", "2,1,,", "4,3,both,", "6,5,,anatomy"]
    (tmp_path / "raw" / "phantom" / "pairs.csv").write_text("\n".join(lines) + "\n")
    box_results.write_groups(tmp_path)
    with (tmp_path / "groups-pairs.csv").open(newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [
            ["2", "1", "ordinary", "no quad", "no tail"],
            ["4", "3", "quad", "both", "no tail"],
            ["6", "5", "tail", "no quad", "anatomy"],
        ]
    with (tmp_path / "groups-studies.csv").open(newline="") as file:
        kinds = {row["study_id"]: row["kind of patient"] for row in csv.DictReader(file)}
    assert kinds["1"] == kinds["2"] == "ordinary" and kinds["5"] == "tail" and kinds["3"] == "quad"


def test_other_numbers_in_the_same_folder_are_refused_and_further_rows_are_not(box, tmp_path):
    _, box_results = box
    plan = {"seed": 7001, "runs": {"pretrain": "a", "diffvqa": "b"}}
    (tmp_path / "coarse").mkdir()
    scored = tmp_path / "coarse" / "diffvqa.scores.json"
    scored.write_text("{}")
    box_results._same_plan(tmp_path, plan)
    box_results._same_plan(tmp_path, plan)
    assert scored.exists()
    with pytest.raises(ValueError, match="holds results with seed 7001, not 1: name another"):
        box_results._same_plan(tmp_path, {**plan, "seed": 1})
    with pytest.raises(ValueError, match="holds results with runs"):
        box_results._same_plan(tmp_path, {**plan, "runs": {"pretrain": "a", "diffvqa": "c"}})
    more = {**plan, "runs": {**plan["runs"], "text-only": "t"}}
    box_results._same_plan(tmp_path, more)
    assert not scored.exists()
    assert json.loads((tmp_path / "plan.json").read_text()) == more


def test_a_command_is_shown_without_the_places_of_this_machine(box, tmp_path):
    _, box_results = box
    words = ("predict", "/home/me/runs/diffvqa", "--out", str(tmp_path / "coarse" / "x.jsonl"))
    assert box_results._shown(words, tmp_path) == "lapse predict diffvqa --out coarse/x.jsonl"


def test_curves_are_thinned_and_every_held_out_line_is_kept(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    pytest.importorskip("matplotlib")
    import box_curves

    lines = []
    for step in range(0, 4000, 10):
        lines.append({"step": step, "loss": 1.0 / (1 + step)})
        if step % 500 == 0:
            lines.append({"step": step, "validate/loss": 2.0 / (1 + step)})
    table, told = box_curves.thinned(lines, 1200)
    rows = list(csv.DictReader(table.splitlines()))
    assert len(table.encode()) <= 1200
    assert sum(row["validate/loss"] != "" for row in rows) == 8
    kept = sum(row["loss"] != "" for row in rows)
    assert told == f"{kept} of 400" and 20 < kept < 400
    with pytest.raises(ValueError, match="held-out lines alone are more than 50 bytes"):
        box_curves.thinned(lines, 50)
