"""Answers to a table of pairs, row by row, with resume after a kill.

    TABLE.csv --compare each row--> OUT.csv.part, one JSON line per row --all rows--> OUT.csv

The first line of the part file describes the job. A row whose films cannot be compared gets the
status "error" and the reason. A second run of the same command continues with the missing rows.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lapse.core.changes import QUESTION_CHANGED
from lapse.core.files import sha256_of, write_text, writer_lock
from lapse.core.progress import Progress, no_progress
from lapse.evaluation.predictions.delimited import read_table
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.comparison import Comparison
from lapse.inference.outputs import ANSWER_COLUMNS, csv_row, csv_text
from lapse.inference.prediction_job import drop_torn_line

logger = logging.getLogger(__name__)

FILMS = ("reference", "main")  # required columns of the table
COLUMNS = ("line", *FILMS, "question", "error", *ANSWER_COLUMNS)
ERROR = "error"  # status of a row without an answer
Compare = Callable[[Path, Path, str], Comparison]  # reference, main, question


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Rows of the table, those that an earlier run answered, and (line, error) of the failed."""

    rows: int
    resumed: int
    errors: tuple[tuple[int, str], ...]


def answer_pairs(
    table: Path,
    out: Path,
    compare: Compare,
    *,
    facts: Mapping[str, str],
    progress: Progress = no_progress,
) -> PairCounts:
    """Answer every row of a table once, and write a table with one row for each.

    Args:
        table: CSV with the columns reference and main, paths relative to the folder of the table,
            and optionally question.
        out: CSV to write; OUT.part holds the rows until all are there.
        compare: answers one pair; its ValueError and OSError are errors of the row.
        facts: of the model and the options; a second run must have the same.
        progress: called with (finished rows, all rows).

    Raises:
        ValueError: the table cannot be read, another run writes the same file, or OUT.part is of
            another job.
    """
    question = facts.get("question", QUESTION_CHANGED)
    rows = {
        line: {**cells, "question": cells.get("question", "").strip() or question}
        for line, cells in read_table(table, FILMS)
    }
    if not rows:
        raise ValueError(f"{table} has no rows: give one pair of films per row")
    part = out.with_name(f"{out.name}.part")
    job = {"table": sha256_of(table), **facts}
    with writer_lock(part.with_name(f"{part.name}.lock"), out):
        done = _start(part, job)
        num_resumed = len(done)
        progress(num_resumed, len(rows))
        with part.open("a", encoding="utf-8") as file:
            for line, cells in rows.items():
                if line in done:
                    continue
                done[line] = _answer(line, cells, table.parent, compare)
                file.write(json.dumps(done[line]) + "\n")
                file.flush()
                os.fsync(file.fileno())
                progress(len(done), len(rows))
        write_text(out, csv_text(COLUMNS, [done[line] for line in rows]))
        part.unlink()
    errors = tuple((line, done[line]["error"]) for line in rows if done[line]["status"] == ERROR)
    return PairCounts(len(rows), num_resumed, errors)


def _answer(line: int, cells: Mapping[str, str], folder: Path, compare: Compare) -> dict[str, str]:
    """The row of the output; films that cannot be compared give an error."""
    values = {"line": str(line), **{name: cells[name] for name in FILMS}}
    question = cells["question"]
    try:
        for name in FILMS:
            if not cells[name].strip():
                raise ValueError(f"the column {name} is empty")
        reference, main = (folder / cells[name].strip() for name in FILMS)
        answered = csv_row(compare(reference, main, question))
    except (ValueError, OSError) as error:
        answered = {"question": question, "status": ERROR, "research use": RESEARCH_USE}
        values["error"] = " ".join(str(error).split())
    return {name: values.get(name, answered.get(name, "")) for name in COLUMNS}


def _start(part: Path, job: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """Line of the table -> row, of the rows that an earlier run of this job has finished."""
    drop_torn_line(part)
    lines = part.read_text(encoding="utf-8").splitlines() if part.is_file() else []
    if not lines:
        write_text(part, json.dumps(job) + "\n")
        return {}
    try:
        old, *rows = (json.loads(line) for line in lines)
        done = {int(row["line"]): {str(k): str(v) for k, v in row.items()} for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{part} is damaged: delete it and start again") from None
    if old != job:
        names = [name for name in job if not isinstance(old, dict) or old.get(name) != job[name]]
        raise ValueError(
            f"{part} holds unfinished answers of another job ({', '.join(names)} differ): give the "
            "same values, delete it, or choose another output"
        )
    return done
