"""`lapse audit`: what a reader without images gets on a question file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer


@dataclass(frozen=True)
class ColumnGroup:
    """The columns of the question file: fields of `QuestionColumns`."""

    panel: ClassVar[str] = "Columns"

    question: Annotated[str, typer.Option(help="Column of the question.")] = "question"
    answer: Annotated[str, typer.Option(help="Column of the true answer.")] = "answer"
    options: Annotated[
        list[str],
        typer.Option(
            "--option",
            help="Column of an option of a multiple-choice question; may be repeated. A single "
            "column holds all options, as a JSON list or separated by |.",
            show_default="free questions",
        ),
    ] = field(default_factory=list)
    patient: Annotated[
        str,
        typer.Option(
            help="Column of the patient, the unit of folds and intervals.",
            show_default="patient, patient_id or subject_id",
        ),
    ] = ""
    patient_pattern: Annotated[
        str,
        typer.Option(
            help="Regular expression of the patient in that column, such as p[0-9]{8} in an image "
            "path.",
            show_default="the whole text",
        ),
    ] = ""
    only: Annotated[
        list[str],
        typer.Option(
            help="COLUMN=VALUE: audit only the rows with this value; may be repeated.",
            show_default="all rows",
        ),
    ] = field(default_factory=list)


def audit_command(
    file: Annotated[Path, typer.Argument(help="Question file: CSV, jsonl or JSON list.")],
    columns: ColumnGroup,
    *,
    seed: Annotated[int, typer.Option(help="Seed of the folds and intervals.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=100, help="Number of bootstrap resamples of the patients.")
    ] = 2000,
) -> None:
    """Measure what a reader without images gets on a question file, against chance."""
    from lapse.evaluation.blind_audit import audit_questions
    from lapse.evaluation.question_file import QuestionColumns, read_questions
    from lapse.evaluation.score_tables import format_plain, format_score, interval_notes

    only = {}
    for text in columns.only:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ValueError(f"--only {text!r} is not COLUMN=VALUE")
        only[name] = value
    questions = read_questions(file, QuestionColumns(**vars(columns) | {"only": only}))
    audit = audit_questions(questions, resamples=resamples, seed=seed)
    patients = f" of {audit.num_patients} patients" if audit.num_patients else ""
    typer.echo(f"{audit.num_questions} {audit.kind} questions{patients}, read without images\n")
    rows = [["reader", "accuracy (higher, 0 to 1)", "above chance (higher, -1 to 1)"]]
    for name, score in audit.accuracy.items():
        rows.append([name, format_score(score), format_score(audit.above.get(name))])
    typer.echo(format_plain(rows))
    for note in interval_notes({name: score.details for name, score in audit.accuracy.items()}):
        typer.echo(note)
    typer.echo("\nA model that sees the images must be above the best of these rows.")
