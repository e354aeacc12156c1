"""Scoring of files against a small simulated data set: comparisons, baselines, subgroups."""

import csv
import gzip
import json
import logging
import random
from dataclasses import replace

import pytest

from lapse.core.changes import UNCHANGED, invert, render
from lapse.core.grammar import parse
from lapse.core.registry import load
from lapse.core.types import Prediction
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.evaluation import subgroups
from lapse.evaluation.blind_baselines import CONSTANT, MEAN_BOX, NOTHING, RANDOM
from lapse.evaluation.compare_files import CompareOptions, compare_files
from lapse.evaluation.evaluate import EvaluateOptions, Evaluator, evaluate
from lapse.evaluation.evaluate_file import EvaluateFileOptions, evaluate_file
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.evaluation.predictions.questions import split_of_store
from lapse.evaluation.references import ReferenceOptions, remark_of
from lapse.evaluation.scores_file import read_scores
from lapse.metrics.abstention import Threshold, write_threshold
from lapse.phantom.dataset.writer import SimulateConfig, simulate

SCORING = EvaluateOptions(resamples=100, use_java=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Raw data, a silver and a gold store, predictions of three systems, boxes, patients.csv.gz."""
    folder = tmp_path_factory.mktemp("evaluation")
    simulate(folder / "raw", SimulateConfig(patients=12, seed=0, size=64, visits=(2, 3)))
    for name, boxes in (("store", "silver"), ("gold", "gold")):
        prepare(find_roots([folder / "raw"]), folder / name, PrepareOptions(32, boxes=boxes))
    store = open_store(folder / "store")
    questions = split_of_store(store, "train", "diff_vqa").items
    for name, accuracy in (("a", 0.8), ("b", 0.4), ("c", 0.1)):
        draw = random.Random(name)
        answered = [q if draw.random() < accuracy else draw.choice(questions) for q in questions]
        pairs = zip(questions, answered, strict=True)
        predictions = [question.answered(other.answer) for question, other in pairs]
        write_predictions(folder / f"{name}.jsonl", predictions)
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("prediction", "ref_id", "study_id", "question"))
        for question, item in reversed(list(zip(questions, predictions, strict=True))):
            writer.writerow((item.prediction, question.reference, question.study, question.text))
    write_predictions(folder / "boxes-store.jsonl", box_predictions(folder / "store"))
    half_wrong = [
        replace(item, prediction="[0, 0, 1, 1]") if index % 2 else item
        for index, item in enumerate(box_predictions(folder / "gold"))
    ]
    write_predictions(folder / "boxes-gold.jsonl", half_wrong)
    with gzip.open(folder / "patients.csv.gz", "wt", encoding="utf-8") as file:
        file.write("subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n")
        for number, patient in enumerate(sorted({study.patient for study in store.studies})):
            year = next(s.taken_at.year for s in store.studies if s.patient == patient)
            file.write(f"{patient},{'FM'[number % 2]},{50},{year},2011 - 2013,\n")
    return folder


def box_predictions(data) -> list[Prediction]:
    """The right CAREF answers on the test split of a store."""
    store = open_store(data)
    task = load("tasks", "caref")(store.info.size)
    samples = [sample for study in store.studies_of("test") for sample in task.samples(study)]
    return [Prediction(s.id, "caref", s.answer, (s.answer,), s.patient, s.prompt) for s in samples]


def train_options(folder, name, **changes) -> EvaluateFileOptions:
    """Options for predictions on the train split, with all subgroups."""
    options = EvaluateFileOptions(
        folder / f"{name}.jsonl",
        out=folder / f"{name}.scores.json",
        references=ReferenceOptions(data=folder / "store", split="train"),
        scoring=SCORING,
        patients=folder / "patients.csv.gz",
        groups=folder / "raw" / "phantom" / "pairs.csv",
    )
    return replace(options, **changes)


def test_scores_comparisons_and_provenance_are_written_and_returned(folder):
    options = train_options(
        folder, "a", compare_with=(folder / "b.jsonl",), provenance={"command": "test"}
    )
    result = evaluate_file(options)
    other = str(folder / "b.jsonl")
    assert {other, CONSTANT, RANDOM} <= result.comparisons.keys() <= {
        other, CONSTANT, NOTHING, RANDOM,
    }  # fmt: skip
    assert list(result.columns("diff_vqa"))[:2] == ["a", other]
    assert result.provenance["command"] == "test" and result.provenance["seed"] == "0"
    values = json.loads(result.path.read_text("utf-8"))
    exact = result.scores["diff_vqa"]["exact match"].value
    assert values["scores"]["diff_vqa"]["exact match"]["value"] == exact
    assert exact > values["comparisons"][other]["diff_vqa"]["exact match"]["value"]
    assert values["provenance"] == result.provenance and "unfinished" not in result.provenance
    assert values["hidden_subgroups"].keys() == {"diff_vqa"}
    for scores in (values["scores"], *values["comparisons"].values()):
        assert "change F1" in scores["diff_vqa"] and "BLEU-4" not in scores["diff_vqa"]


def test_gold_boxes_are_comparisons_with_their_own_baseline(folder):
    options = EvaluateFileOptions(
        folder / "boxes-store.jsonl",
        out=folder / "boxes.json",
        references=ReferenceOptions(data=folder / "store"),
        scoring=SCORING,
        gold=folder / "boxes-gold.jsonl",
    )
    result = evaluate_file(options)
    assert list(result.columns("caref")) == [
        "boxes-store", "mean box", "gold: boxes-gold", "gold: mean box",
    ]  # fmt: skip
    assert result.scores["caref"]["Acc@0.5"].value == 1.0
    count = len(read_predictions(folder / "boxes-gold.jsonl"))
    gold = result.comparisons["gold: boxes-gold"]["caref"]["Acc@0.5"]
    assert gold.value == pytest.approx((count - count // 2) / count)
    assert gold.details["n"] == str(count)
    # Boxes drawn by people differ from those of the scene graphs, and so do the baselines.
    baselines = {name: result.comparisons[name]["caref"]["mean IoU"].value
                 for name in ("mean box", "gold: mean box")}  # fmt: skip
    assert len(set(baselines.values())) == 2
    # A gold store has no train split: its baseline can come from the silver store.
    gold_options = replace(options, predictions=folder / "boxes-gold.jsonl", gold=None,
                           references=ReferenceOptions(data=folder / "gold"))  # fmt: skip
    with pytest.raises(ValueError, match=r"no train split for caref.*--baseline-data STORE"):
        evaluate_file(gold_options)
    references = ReferenceOptions(data=folder / "gold", baseline_data=folder / "store")
    result = evaluate_file(replace(gold_options, references=references))
    assert result.provenance["baselines from"].startswith("simulated: ")
    mean_box = result.comparisons["mean box"]["caref"]["mean IoU"]
    assert mean_box.value == baselines["gold: mean box"]


def test_a_baseline_whose_scores_all_need_java_is_left_out(folder, tmp_path):
    boxes = read_predictions(folder / "boxes-store.jsonl")
    store = open_store(folder / "store")
    task = load("tasks", "gcap")(store.info.size)
    samples = [sample for study in store.studies_of("test") for sample in task.samples(study)]
    texts = [Prediction(s.id, "gcap", s.answer, (s.answer,), s.patient, s.prompt) for s in samples]
    write_predictions(tmp_path / "both.jsonl", [*boxes, *texts])
    options = EvaluateFileOptions(
        tmp_path / "both.jsonl", references=ReferenceOptions(data=folder / "store"), scoring=SCORING
    )
    result = evaluate_file(options)
    assert list(result.scores) == ["caref"]
    assert list(result.comparisons) == [MEAN_BOX]  # the random training answers are all of gcap
    write_predictions(tmp_path / "texts.jsonl", texts)
    with pytest.raises(ValueError, match="every metric of these tasks needs Java"):
        evaluate_file(replace(options, predictions=tmp_path / "texts.jsonl"))


def test_baselines_of_the_evaluated_patients_are_refused(folder, tmp_path):
    references = ReferenceOptions(
        data=folder / "store", baseline_data=folder / "store", split="train"
    )
    options = train_options(folder, "a", references=references, patients=None, groups=None)
    with pytest.raises(ValueError, match=r"leak .* by patient: \d+ .*another --seed"):
        evaluate_file(options)
    items = read_predictions(folder / "a.jsonl")
    nameless = tmp_path / "nameless.jsonl"
    write_predictions(nameless, [replace(item, patient="") for item in items])
    with pytest.raises(ValueError, match="do not name their patient"):
        evaluate_file(replace(options, predictions=nameless))
    with pytest.raises(ValueError, match="needs --data"):
        ReferenceOptions(baseline_data=folder / "store")
    with pytest.raises(ValueError, match="use one of them"):
        ReferenceOptions(data=folder / "store", questions=folder / "table.csv")


def test_subgroups_by_store_patients_and_table(folder, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    monkeypatch.setattr(subgroups, "MIN_PATIENTS", 1)
    groups = evaluate_file(train_options(folder, "a")).subgroups["diff_vqa"].scores
    assert {"view", "views of the pair", "interval", "sex", "age band", "tier", "split"} <= (
        groups.keys()
    )
    assert not {"subject_id", "num_changes", "num_fine_changes"} & groups.keys()
    for name in ("subject_id", "num_fine_changes"):
        message = f"no groups by {name} of pairs.csv: numbers or ids"
        assert any(line.startswith(message) for line in caplog.messages)
    assert groups["split"].keys() == {"train"} and groups["tier"].keys() == {"coarse"}
    assert groups["sex"].keys() == {"female", "male"}
    items = read_predictions(folder / "a.jsonl")
    assert sum(int(part["exact match"].details["n"]) for part in groups["sex"].values()) == len(
        items
    )
    store = open_store(folder / "store")
    views = {f"diff_vqa/{pair.id}": pair.main.view for pair in store.pairs}
    for name, part in groups["view"].items():
        of_view = [item for item in items if views[item.id] == name]
        expected = evaluate(of_view, SCORING)["diff_vqa"]
        for score in ("change F1", "exact match"):
            assert part[score].value == pytest.approx(expected[score].value)
            assert part[score].low == pytest.approx(expected[score].low)


def test_every_group_of_a_small_data_set_is_hidden(folder):
    hidden = evaluate_file(train_options(folder, "a")).subgroups["diff_vqa"]
    assert hidden.scores == {}
    assert any(line.startswith("sex 'female'") for line in hidden.hidden)


def test_probes_and_a_threshold_add_reliability(folder, tmp_path):
    items = read_predictions(folder / "a.jsonl")
    probes = [replace(item, id=f"{item.id}#identity", prediction="nothing has changed.")
              for item in items]  # fmt: skip
    write_predictions(tmp_path / "identity.jsonl", probes)
    write_threshold(tmp_path / "t.json", Threshold("beam", 0.1, 0.5, 1, 1, 0.0, ("0",)))
    options = train_options(folder, "a", probes=(tmp_path / "identity.jsonl",))
    assert evaluate_file(options).reliability["consistency"]["identity"].value == 1.0
    with pytest.raises(ValueError, match="has no confidence 'beam: "):
        evaluate_file(replace(options, threshold=tmp_path / "t.json"))


@pytest.mark.parametrize("source", ["store", "table"])
def test_systems_are_tested_against_the_first(folder, source):
    if source == "store":
        references = ReferenceOptions(data=folder / "store", split="train")
    else:
        table = folder / "raw" / "medical-diff-vqa" / "mimic_pair_questions.csv"
        references = ReferenceOptions(questions=table, split="train")
    names = ("a.jsonl", "b.jsonl", "table.csv")
    result = compare_files(
        CompareOptions(
            tuple(folder / name for name in names),
            folder / "comparison.json",
            references=references,
            scoring=SCORING,
        )
    )
    assert list(result.columns("diff_vqa"))[:4] == ["a", "b", "table", CONSTANT]
    assert list(result.differences["diff_vqa"]) == ["b against a", "table against a"]
    rows = {row.name: row for row in result.differences["diff_vqa"]["table against a"]}
    assert rows["exact match"].value < 0.0 and rows["exact match"].p < 0.1
    assert rows["change F1"].p_holm >= rows["change F1"].p
    values = json.loads((folder / "comparison.json").read_text("utf-8"))
    written = values["differences"]["diff_vqa"]["table against a"]
    assert [row["value"] for row in written] == [row.value for row in rows.values()]
    assert values["provenance"]["system"] == "a"


def test_systems_that_cannot_be_compared_are_refused(folder, tmp_path):
    items = read_predictions(folder / "c.jsonl")
    write_predictions(tmp_path / "d.jsonl", items[1:])
    write_predictions(tmp_path / "copy.jsonl", items[::-1])
    for systems, message in (
        (["c.jsonl"], "needs two predictions files or more, got 1"),
        (["c.jsonl", "c.jsonl"], "has the same .* answers as c: "),
        (["a.jsonl", "c.jsonl", tmp_path / "copy.jsonl"], "has the same .* answers as c: "),
        (["c.jsonl", tmp_path / "d.jsonl"], "shared with the"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_files(
                CompareOptions(
                    tuple(folder / name for name in systems), tmp_path / "x.json", scoring=SCORING
                )
            )


def test_guarded_answers_of_a_file_are_scored_with_their_probes(folder, tmp_path):
    store = ReferenceOptions(data=folder / "store", split="train")
    plain = read_predictions(folder / "a.jsonl")
    guarded = [replace(item, guarded=item.references[0]) for item in plain]
    write_predictions(tmp_path / "g.jsonl", guarded)
    probes = [
        replace(item, id=f"{item.id}#swap", guarded=render(invert(parse(item.guarded).changes)))
        for item in guarded
    ]
    write_predictions(tmp_path / "g.swap.jsonl", probes)
    options = EvaluateFileOptions(
        tmp_path / "g.jsonl",
        references=store,
        scoring=SCORING,
        probes=(tmp_path / "g.swap.jsonl",),
    )
    scores = evaluate_file(options).reliability["guarded"]
    assert scores["change F1"].value == scores["swap law"].value == 1.0
    assert scores["change F1, unguarded"].value < 1.0


def test_scores_computed_before_a_failure_are_kept(folder, tmp_path, monkeypatch, caplog):
    by_task, calls = Evaluator.by_task, []

    def fail(evaluator, items):
        calls.append(items)
        if len(calls) > 1:
            raise ValueError("a comparison that fails")
        return by_task(evaluator, items)

    monkeypatch.setattr(Evaluator, "by_task", fail)
    out = tmp_path / "scores.json"
    with pytest.raises(ValueError, match="a comparison that fails"):
        evaluate_file(train_options(folder, "a", out=out))
    values = read_scores(out)
    assert "exact match" in values["scores"]["diff_vqa"] and values["comparisons"] == {}
    assert "is unfinished: only diff_vqa and 0 comparisons are computed" in caplog.messages[-1]


def test_scores_of_a_task_are_kept_if_the_next_task_fails(tmp_path, monkeypatch):
    items = [
        Prediction(f"{task}/{index}", task, UNCHANGED, (UNCHANGED,), f"p{index}")
        for task in ("diff_vqa", "vqa")
        for index in range(3)
    ]
    write_predictions(tmp_path / "two.jsonl", items)

    def fail(*_):
        raise ValueError("a metric that fails")

    monkeypatch.setattr("lapse.metrics.answer_accuracy.AnswerAccuracy.__call__", fail)
    with pytest.raises(ValueError, match="a metric that fails"):
        evaluate_file(EvaluateFileOptions(tmp_path / "two.jsonl", scoring=SCORING))
    values = read_scores(tmp_path / "two.scores.json")
    assert list(values["scores"]) == ["diff_vqa"]
    assert values["provenance"]["unfinished"].startswith("only diff_vqa")


def test_the_remark_of_a_release_is_known_by_its_patients():
    """A file may be scored without the store."""
    item = Prediction("diff_vqa/1/0", "diff_vqa", "x", ("nothing has changed.",), patient="nih:13")
    assert "never an evaluation set" in remark_of([item])["remark"]
    assert not remark_of([replace(item, patient="13")])
    assert not remark_of([replace(item, task="cap")])
