"""`lapse evaluate`: predictions file -> scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lapse.cli.console import say
from lapse.cli.scoring import ReferenceSource

if TYPE_CHECKING:
    from lapse.core.types import Prediction, Score


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="predictions.jsonl, CSV or COCO JSON.")],
    data: Annotated[
        Path | None, typer.Option(help="Store: adds blind rows, release and split protocol.")
    ] = None,
    blind_from: Annotated[
        Path | None,
        typer.Option(help="Store of other patients whose train split the blind rows know."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="mimic_pair_questions.csv, instead of a store.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    task: Annotated[str, typer.Option(help="Of a CSV or COCO file.")] = "diff_vqa",
    ids: Annotated[
        str, typer.Option(help="COCO image_id: auto, study_ref, row, position, doubled.")
    ] = "auto",
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Other predictions of the same samples, one more column each."),
    ] = None,
    probe: Annotated[
        list[Path] | None,
        typer.Option(help="Answers of the same system under probes: adds consistency."),
    ] = None,
    threshold: Annotated[
        Path | None, typer.Option(help="File of lapse calibrate: adds abstention.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option(help="The same system's boxes on gold annotations.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="patients.csv[.gz] of MIMIC-IV: sex and age.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="CSV: study_id[, ref_id] and columns of groups.")
    ] = None,
    bert: Annotated[str, typer.Option(help="BERTScore: folder or hub id.")] = "",
    bert_revision: Annotated[str, typer.Option(help="40 hex digits, for a hub id.")] = "",
    bert_layer: Annotated[int | None, typer.Option(help="Default: three quarters.")] = None,
    bert_baseline: Annotated[float | None, typer.Option(help="Rescale with it.")] = None,
    without_java: Annotated[
        bool, typer.Option("--without-java", help="Other tokenizer and METEOR: other numbers.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Default: scores.json beside it.")] = None,
    seed: Annotated[int, typer.Option(help="Of intervals and random answers.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Of the patients.")] = 2000,
) -> None:
    """Score a predictions file with intervals by patient; blind rows and subgroups beside."""
    from lapse.evaluation.evaluate import EvaluateOptions, plain_scores, write_scores
    from lapse.evaluation.evaluate import evaluate as run
    from lapse.evaluation.predictions.jsonl import in_order_of, read_predictions
    from lapse.evaluation.reliability import reliability_scores
    from lapse.evaluation.score_tables import format_markdown, parts_table, scores_table, table_note
    from lapse.metrics.abstention import read_threshold

    truth = ReferenceSource(data, questions, split, task, ids, seed, blind_from)
    asked = truth.asked()
    found = truth.read(predictions, asked)
    rows: dict[str, list[Prediction]] = {predictions.stem: found}
    for path in beside or []:
        rows[str(path)] = in_order_of(found, truth.read(path, asked), str(path))
    rows |= truth.blind(found)
    if gold is not None:
        marked = truth.read(gold, [])
        rows |= {f"gold: {gold.stem}": marked}
        rows |= {f"gold: {name}": other for name, other in truth.blind(marked).items()}
        own_tasks, gold_tasks = ({item.task for item in part} for part in (found, marked))
        if alone := ", ".join(sorted(gold_tasks - own_tasks)):
            say(f"{gold.name}: {alone} in scores.json alone, {predictions.name} has no such task")
    options = EvaluateOptions(
        seed, resamples, without_java, _bert(bert, bert_revision, bert_layer, bert_baseline)
    )
    scores = {name: run(others, options=options) for name, others in rows.items()}
    mine = scores.pop(predictions.stem)
    probes = [item for path in probe or [] for item in read_predictions(path)]
    chosen = read_threshold(threshold) if threshold is not None else None
    trust = reliability_scores(found, probes, chosen, seed=seed)
    facts = truth.facts(len(found))
    more: dict[str, Any] = {"subgroups": {}, "hidden subgroups": {}}
    for name, values in mine.items():
        columns = {predictions.stem: values}
        columns |= {row: other[name] for row, other in scores.items() if name in other}
        typer.echo(f"\n{name}\n\n{format_markdown(scores_table(columns))}")
        typer.echo(table_note(columns, facts))
        for kind in ("finding", "region"):
            if table := parts_table(columns, kind):
                typer.echo(f"\n{name} by {kind}\n\n{format_markdown(table)}")
        own = [item for item in found if item.task == name]
        shown, hidden = _subgroups(own, values, truth, patients, groups, options)
        more["subgroups"][name] = {
            dimension: plain_scores(part) for dimension, part in shown.items()
        }
        more["hidden subgroups"][name] = hidden
    for name, values in trust.items():
        columns = {predictions.stem: values}
        typer.echo(f"\n{name}\n\n{format_markdown(scores_table(columns))}")
    target = out or predictions.with_name("scores.json")
    write_scores(target, mine | trust, facts, scores, more)
    say(f"scores in {target}")


def _bert(model: str, revision: str, layer: int | None, baseline: float | None) -> Any:
    if not model:
        return None
    from lapse.metrics.bertscore import BertChoice

    return BertChoice(model, revision, layer, baseline)


def _subgroups(
    own: list[Prediction],
    values: dict[str, Score],
    truth: ReferenceSource,
    patients: Path | None,
    groups: Path | None,
    options: Any,
) -> tuple[dict[str, dict[str, dict[str, Score]]], tuple[str, ...]]:
    """Print the subgroups of one task; what is shown and what is hidden."""
    from lapse.evaluation.score_tables import format_markdown, headlines, scores_table
    from lapse.evaluation.subgroups import (
        answer_labels,
        group_scores,
        patient_labels,
        store_labels,
        table_labels,
    )

    labels = answer_labels(own)
    store = truth.store()
    if store is None:
        say("no subgroups by view and interval: they need --data STORE")
    else:
        labels |= store_labels(store, own)
    if patients is None:
        say("no subgroups by sex and age: the data hold neither; give MIMIC-IV's --patients")
    else:
        more, told = patient_labels(patients, own, store)
        labels |= more
        for line in told:
            say(line)
    if groups is not None:
        more, told = table_labels(groups, own, store)
        labels |= more
        for line in told:
            say(line)
    found = group_scores(
        headlines(values),
        [item.patient for item in own],
        labels,
        resamples=options.resamples,
        seed=options.seed,
    )
    for dimension, part in found.scores.items():
        named = {f"{name} (n {_n(scores)})": scores for name, scores in part.items()}
        typer.echo(f"\n{own[0].task} by {dimension}\n\n{format_markdown(scores_table(named))}")
    if found.hidden:
        typer.echo(f"\nhidden, fewer than 50 patients: {'; '.join(found.hidden)}")
    return found.scores, found.hidden


def _n(scores: dict[str, Score]) -> str:
    return next((score.details["n"] for score in scores.values()), "0")
