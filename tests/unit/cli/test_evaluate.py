"""lapse evaluate, compare and report on a small simulated tree, with answers that are not ours."""

import csv
import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.core.registry import load
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.evaluation import subgroups
from lapse.evaluation.blind_baselines import NOTHING
from lapse.evaluation.evaluate import EvaluateOptions, evaluate
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.evaluation.predictions.questions import questions_of_store

FAST = ("--no-java", "--resamples", 100)
TRAIN = ("--split", "train")


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Raw trees, a silver and a gold store, answers of three systems, boxes, patients.csv.gz."""
    folder = tmp_path_factory.mktemp("commands")
    lapse("simulate", folder / "raw", "--patients", 12, "--size", 64, "--visits", "2-3")
    lapse("prepare", folder / "raw", folder / "store", "--size", 32)
    lapse("prepare", folder / "raw", folder / "gold", "--size", 32, "--boxes", "gold")
    store = open_store(folder / "store")
    questions = questions_of_store(store, "train", "diff_vqa")
    for name, right in (("a", 0.8), ("b", 0.4), ("c", 0.1)):
        draw = random.Random(name)
        said = [q if draw.random() < right else draw.choice(questions) for q in questions]
        answers = [q.answered(other.answer) for q, other in zip(questions, said, strict=True)]
        write_predictions(folder / f"{name}.jsonl", answers)
    with (folder / "by-hand.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("prediction", "ref_id", "study_id", "question"))
        for q, item in reversed(list(zip(questions, answers, strict=True))):
            writer.writerow((item.prediction, q.reference, q.study, q.text))
    for name, box in (("store", ""), ("gold", "[0, 0, 1, 1]")):
        write_predictions(folder / f"boxes-{name}.jsonl", boxes(folder / name, box))
    with gzip.open(folder / "patients.csv.gz", "wt", encoding="utf-8") as people:
        people.write("subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n")
        for number, patient in enumerate(sorted({study.patient for study in store.studies})):
            year = next(s.taken_at.year for s in store.studies if s.patient == patient)
            people.write(f"{patient},{'FM'[number % 2]},{50},{year},2011 - 2013,\n")
    return folder


def boxes(data: Path, second: str) -> list[Prediction]:
    """CAREF answers on the test part: right, but every second one is `second` where given."""
    store = open_store(data)
    task = load("tasks", "caref")(store.info.size)
    samples = [sample for study in store.studies_of("test") for sample in task.samples(study)]
    return [
        Prediction(
            s.id,
            "caref",
            second if second and n % 2 else s.answer,
            (s.answer,),
            s.patient,
            s.prompt,
        )
        for n, s in enumerate(samples)
    ]


def scores_of(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def test_gold_and_silver_stand_apart_in_one_table(made):
    out = made / "boxes.json"
    silver, gold = made / "boxes-store.jsonl", made / "boxes-gold.jsonl"
    said = lapse("evaluate", silver, "--gold", gold, "--data", made / "store", *FAST, "--out", out)
    assert "| score | boxes-store | mean box | gold: boxes-gold | gold: mean box |" in said
    rows = len(read_predictions(gold))
    assert f"n: {len(read_predictions(silver))} (gold: boxes-gold: {rows}" in said
    found = scores_of(out)
    assert found["scores"]["caref"]["Acc@0.5"]["value"] == 1.0
    marked = found["comparisons"]["gold: boxes-gold"]["caref"]["Acc@0.5"]
    assert marked["value"] == pytest.approx((rows - rows // 2) / rows)
    assert marked["details"]["n"] == str(rows)
    # Boxes drawn by people differ from those of the scene graphs, and so do their blind rows.
    names = ("mean box", "gold: mean box")
    blind = (found["comparisons"][name]["caref"]["mean IoU"] for name in names)
    assert len({row["value"] for row in blind}) == 2


def test_a_store_without_a_training_part_needs_another_one(made):
    command = ("evaluate", made / "boxes-gold.jsonl", "--data", made / "gold", *FAST)
    with pytest.raises(ValueError, match=r"no train split for caref.*--baseline-data STORE"):
        lapse(*command)
    out = made / "gold.json"
    said = lapse(*command, "--baseline-data", made / "store", "--out", out)
    assert "no shared patient, study or image" in " ".join(said.split())
    found = scores_of(out)
    assert found["provenance"]["baselines from"].startswith("simulated: ")
    # The gold boxes are those of test patients: the same row as that of the silver store.
    silver = scores_of(made / "boxes.json")["comparisons"]["gold: mean box"]
    assert found["comparisons"]["mean box"] == silver


def test_blind_rows_of_a_store_that_shares_patients_are_refused(made, tmp_path, monkeypatch):
    """The answers are about training patients of the very store; without the guard they pass."""
    command = ("evaluate", made / "a.jsonl", "--data", made / "store", *TRAIN, *FAST)
    command = (*command, "--baseline-data", made / "store", "--out", tmp_path / "shared.json")
    with pytest.raises(ValueError, match=r"leak .* by patient: \d+ .*another --seed"):
        lapse(*command)
    lines = (made / "a.jsonl").read_text("utf-8").splitlines()
    nameless = [json.dumps({**json.loads(line), "patient": ""}) for line in lines]
    (tmp_path / "a.jsonl").write_text("\n".join(nameless), "utf-8")
    with pytest.raises(ValueError, match="do not name their patient"):
        lapse("evaluate", tmp_path / "a.jsonl", *command[2:])
    with pytest.raises(ValueError, match="needs --data"):
        lapse("evaluate", made / "a.jsonl", *FAST, "--baseline-data", made / "store")
    monkeypatch.setattr("lapse.evaluation.references.refuse_shared", lambda *_: None)
    assert "constant answer" in lapse(*command)


def everything(made, name, *more):
    return lapse(
        "evaluate", made / f"{name}.jsonl", "--data", made / "store", *TRAIN, *FAST, *more,
        "--groups", made / "raw" / "phantom" / "pairs.csv", "--patients", made / "patients.csv.gz",
        "--out", made / f"{name}.json",
    )  # fmt: skip


def test_subgroups_of_store_patients_and_phantom(made, monkeypatch):
    monkeypatch.setattr(subgroups, "MIN_PATIENTS", 1)
    said = " ".join(everything(made, "a").split())
    for dimension in ("view", "views of the pair", "interval", "sex", "age band", "tier", "split"):
        assert f"diff_vqa by {dimension} " in said
    assert "diff_vqa by subject_id" not in said and "diff_vqa by num_changes" not in said
    assert "no groups by subject_id of pairs.csv: numbers or ids" in said
    assert "no groups by num_fine_changes of pairs.csv: numbers or ids" in said
    found = scores_of(made / "a.json")["subgroups"]["diff_vqa"]
    assert found["split"].keys() == {"train"} and found["tier"].keys() == {"coarse"}
    assert found["sex"].keys() == {"female", "male"}
    assert sum(int(group["exact match"]["details"]["n"]) for group in found["sex"].values()) == len(
        read_predictions(made / "a.jsonl")
    )
    store = open_store(made / "store")
    view = {f"diff_vqa/{pair.id}": pair.main.view for pair in store.pairs}
    for name, group in found["view"].items():
        own = [item for item in read_predictions(made / "a.jsonl") if view[item.id] == name]
        alone = evaluate(own, options=EvaluateOptions(resamples=100, use_java=False))["diff_vqa"]
        for score in ("change F1", "exact match"):
            assert group[score]["value"] == pytest.approx(alone[score].value)
            assert group[score]["low"] == pytest.approx(alone[score].low)


def test_with_the_limit_of_50_patients_every_group_of_a_small_set_is_hidden(made):
    said = everything(made, "a")
    assert "hidden, fewer than 50 patients: " in said and "diff_vqa by view" not in said
    found = scores_of(made / "a.json")
    assert found["subgroups"]["diff_vqa"] == {}
    assert any(line.startswith("sex 'female'") for line in found["hidden_subgroups"]["diff_vqa"])


def test_without_java_no_caption_score_is_written(made):
    everything(made, "b")
    found = scores_of(made / "b.json")
    for row in (found["scores"], *found["comparisons"].values()):
        assert not {"BLEU-4", "METEOR", "ROUGE-L", "CIDEr"} & row["diff_vqa"].keys()
        assert "change F1" in row["diff_vqa"]


def test_three_systems_side_by_side_one_of_them_a_csv_made_by_hand(made):
    files = [made / name for name in ("a.jsonl", "b.jsonl", "by-hand.csv")]
    truth = ("--questions", made / "raw" / "medical-diff-vqa" / "mimic_pair_questions.csv")
    by = {}
    for name, option in (("store", ("--data", made / "store")), ("table", truth)):
        out = made / f"{name}.compared.json"
        said = lapse("compare", *files, *option, *TRAIN, *FAST, "--out", out)
        assert "| score | a | b | by-hand | constant answer |" in said.replace(f" {NOTHING} |", "")
        assert "b against a (first = A)" in said and "by-hand against a (first = A)" in said
        by[name] = scores_of(out)["differences"]["diff_vqa"]
    third = {row["name"]: row for row in by["store"]["by-hand against a"]}
    assert third["exact match"]["value"] < 0.0 and third["exact match"]["p"] < 0.1
    assert third["change F1"]["p_holm"] >= third["change F1"]["p"]
    assert by["store"] == by["table"]  # two truths, the same questions
    same = read_predictions(made / "c.jsonl")
    changed = [replace(same[0], prediction="banana"), *same[1:]]
    write_predictions(made / "d.jsonl", changed[1:])
    with pytest.raises(ValueError, match="shared with the"):
        lapse(
            "compare", made / "c.jsonl", made / "d.jsonl", "--data", made / "store", *TRAIN, *FAST
        )


def test_the_page_shows_subgroups_and_differences(made, monkeypatch):
    page = made / "page.html"

    def written(scores: str) -> str:
        lapse("report", made / "a.jsonl", "--scores", made / scores, "--out", page, "--cases", 2)
        return page.read_text("utf-8")

    everything(made, "a")
    text = written("a.json")
    assert "<h2>Subgroups</h2>" in text and "Not shown, fewer than 50 patients: " in text
    assert "<td>view, PA</td>" not in text and "<h2>Differences" not in text
    monkeypatch.setattr(subgroups, "MIN_PATIENTS", 1)
    everything(made, "a")
    group = scores_of(made / "a.json")["subgroups"]["diff_vqa"]["view"]["PA"]["exact match"]
    text = written("a.json")
    cell = f"{group['value']:.3f} [{group['low']:.3f}, {group['high']:.3f}]"
    assert f"<td>view, PA</td><td>{group['details']['n']}</td><td>{cell}</td>" in text
    both = [made / "a.jsonl", made / "c.jsonl"]
    lapse("compare", *both, *FAST, "--out", made / "two.json")
    (row, *_) = scores_of(made / "two.json")["differences"]["diff_vqa"]["c against a"]
    text = written("two.json")
    assert "<caption>Difference questions: c against a</caption>" in text
    change = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    assert f"<td>{change}</td><td>{row['p_holm']:.3f}</td>" in text
