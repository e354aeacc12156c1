"""A table as Markdown, CSV and HTML: ours beside the paper's printed numbers.

The CSV has one line per row and score, for other programs; Markdown and HTML are for people.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lapse.core.files import write_text
from lapse.evaluation.html import (
    Chart,
    Curve,
    ModelAnswer,
    PairExample,
    RunReport,
    Table,
    write_run_report,
)
from lapse.workflows.paper_tables.results import Cell, RowResult, cells
from lapse.workflows.paper_tables.spec import TableSpec

FIELDS = (
    *("table", "row", "name", "score", "value", "seeds", "lowest_seed", "highest_seed"),
    "deviation_over_seeds",
    *("patients_low", "patients_high", "p_against_ours_holm", "printed", "parameters", "trained"),
    "not_run_because",
)


def write_scores_table(
    stem: Path, spec: TableSpec, rows: Sequence[RowResult], facts: Mapping[str, str]
) -> None:
    """Write stem.md, stem.csv and stem.html, each whole or not at all."""
    known = {row.row.key for row in rows}
    found = cells(rows, list(spec.columns.values()), spec.ours) if spec.ours in known else {}
    write_text(stem.with_suffix(".csv"), as_csv(stem.name, spec, rows, found))
    tables = [_scores(spec, rows, found), _intervals(spec, rows, found), _sizes(rows)]
    notes = [*_notes(spec, rows), *above_the_floor(spec, rows, found)]
    write_text(stem.with_suffix(".md"), as_markdown(spec.title, tables, notes, facts))
    charts = [
        Chart(
            row.row.name,
            tuple(
                Curve(f"held-out loss of {name}", curve, is_validation=True)
                for name, curve in row.curves.items()
                if curve
            ),
        )
        for row in rows
        if any(row.curves.values())
    ]
    report = RunReport(
        spec.title,
        tuple(notes),
        charts=tuple(charts),
        tables=tuple(tables),
        provenance=facts,
    )
    write_run_report(stem.with_suffix(".html"), report)


def write_cases(
    stem: Path,
    spec: TableSpec,
    rows: Sequence[RowResult],
    answers: Mapping[str, Mapping[str, str]],
    examples: Mapping[str, PairExample],
    facts: Mapping[str, str],
) -> None:
    """Write the answers of each row to a few pairs, as the paper's Table 3 does."""
    head = ("case", "who", "text")
    body: list[tuple[str, ...]] = []
    shown = []
    for number, (key, example) in enumerate(examples.items(), start=1):
        body += [(f"{number}", "question", example.question), (f"{number}", "truth", example.truth)]
        shown_answers = []
        for row in rows:
            answer = answers[row.row.key].get(key, f"(not run: {row.reason})")
            body.append((f"{number}", row.row.name, answer))
            is_right = answer.strip() == example.truth.strip()
            shown_answers.append(ModelAnswer(row.row.name, answer, is_right))
        shown.append(replace(example, answers=tuple(shown_answers)))
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([head, *body])
    write_text(stem.with_suffix(".csv"), lines.getvalue())
    table = Table(spec.title, head, tuple(body))
    notes = _notes(spec, rows)
    write_text(stem.with_suffix(".md"), as_markdown(spec.title, [table], notes, facts))
    report = RunReport(spec.title, tuple(notes), pairs=tuple(shown), provenance=facts)
    write_run_report(stem.with_suffix(".html"), report)


def as_csv(
    name: str,
    spec: TableSpec,
    rows: Sequence[RowResult],
    found: Mapping[str, Mapping[str, Cell]],
) -> str:
    """One line per row and column."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        for title, column in spec.columns.items():
            cell = found.get(row.row.key, {}).get(column)
            size = row.parameters[-1] if row.parameters else ("", "")
            writer.writerow(
                {
                    "table": name,
                    "row": row.row.key,
                    "name": row.row.name,
                    "score": title,
                    "value": cell.value if cell else "",
                    "seeds": len(row.scores),
                    "lowest_seed": cell.low_seed if cell else "",
                    "highest_seed": cell.high_seed if cell else "",
                    "deviation_over_seeds": _plain(cell.deviation if cell else None),
                    "patients_low": _plain(cell.low if cell else None),
                    "patients_high": _plain(cell.high if cell else None),
                    "p_against_ours_holm": _plain(cell.p if cell else None),
                    "printed": row.row.printed.get(title, ""),
                    "parameters": size[0],
                    "trained": size[1],
                    "not_run_because": row.reason,
                }
            )
    return lines.getvalue()


def as_markdown(
    title: str, tables: Sequence[Table], notes: Sequence[str], facts: Mapping[str, str]
) -> str:
    """Title, notes, tables and where the numbers come from."""
    parts = [f"# {title}", *notes]
    for table in tables:
        lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
        )
        parts += [text] if not table.note else [text, table.note]
    parts.append("\n".join(f"- {key}: {value}" for key, value in facts.items()))
    return "\n\n".join(parts) + "\n"


def _scores(
    spec: TableSpec, rows: Sequence[RowResult], found: Mapping[str, Mapping[str, Cell]]
) -> Table:
    is_printed = {title: any(title in row.printed for row in spec.rows) for title in spec.columns}
    columns = ["row"]
    for title in spec.columns:
        columns += [title, "printed"] if is_printed[title] else [title]
    body = []
    for row in rows:
        line = [row.row.name]
        for title, column in spec.columns.items():
            cell = found.get(row.row.key, {}).get(column)
            line.append("-" if cell is None else f"{cell.value:.3f}")
            if is_printed[title]:
                printed = row.row.printed.get(title)
                line.append("" if printed is None else f"{printed:.3f}")
        body.append(tuple(line))
    note = 'Measured here; "printed" is the number of the paper. Means over the seeds.'
    return Table(spec.title, tuple(columns), tuple(body), note, marked=(_ours(spec),))


def _intervals(
    spec: TableSpec, rows: Sequence[RowResult], found: Mapping[str, Mapping[str, Cell]]
) -> Table:
    body = [
        (
            row.row.name,
            *(show(found.get(row.row.key, {}).get(column)) for column in spec.columns.values()),
        )
        for row in rows
        if not row.reason
    ]
    note = (
        "[95% interval over patients, of the mean over seeds]; {lowest to highest seed, sd: "
        "standard deviation over seeds}; p: paired test against ours, whole patients exchanged, "
        "Holm over the rows of a column."
    )
    title = "Intervals, and tests against ours"
    return Table(title, ("row", *spec.columns), tuple(body), note, marked=(_ours(spec),))


def _ours(spec: TableSpec) -> str:
    (name,) = [row.name for row in spec.rows if row.key == spec.ours]
    return name


def _sizes(rows: Sequence[RowResult]) -> Table:
    body = []
    for row in rows:
        counted = show_sizes(row.parameters)
        loss = "-"
        if row.curve:
            loss = f"{row.curve[0][1]:.3f} to {row.curve[-1][1]:.3f}"
        published = row.row.published_size or "-"
        body.append((row.row.name, counted, published, loss, row.row.note))
    columns = ("row", "parameters at the paper's scale", "published", "held-out loss", "note")
    return Table("Sizes and learning", columns, tuple(body))


def _notes(spec: TableSpec, rows: Sequence[RowResult]) -> list[str]:
    notes = [f"Section {spec.section} of the paper."]
    rising = [f"{row.row.name} ({', '.join(row.not_falling)})" for row in rows if row.not_falling]
    trained = sum(any(row.curves.values()) for row in rows)
    if rising:
        notes.append(f"The held-out loss did not fall for: {'; '.join(rising)}.")
    elif trained:
        notes.append(f"The held-out loss of every run of {trained} rows ended lower than it began.")
    notes += [f"Not run, {row.row.name}: {row.reason}" for row in rows if row.reason]
    return notes


def above_the_floor(
    spec: TableSpec, rows: Sequence[RowResult], found: Mapping[str, Mapping[str, Cell]]
) -> list[str]:
    """How many rows are above the floor in the main columns, then a sentence for each that is
    not above it in some column, with both values."""
    floor = found.get(spec.floor, {})
    if not floor:
        return []
    (name,) = [item.name for item in spec.rows if item.key == spec.floor]
    notes, good, count = [], 0, 0
    for row in rows:
        own = found.get(row.row.key, {})
        if row.row.key == spec.floor or not own:
            continue
        low = {
            title: f"{title} ({own[column].value:.3f} against {floor[column].value:.3f})"
            for title, column in spec.columns.items()
            if column in own and column in floor and own[column].value <= floor[column].value
        }
        count += 1
        good += not low.keys() & set(spec.main_columns)
        if low:
            notes.append(f"{row.row.name} is not above {name} in {', '.join(low.values())}.")
    main = " and ".join(spec.main_columns)
    first = f"Above {name} in {main} (main): {good} of {count} rows."
    return [first, *notes]


def show(cell: Cell | None) -> str:
    """Each part where it is known, else "-".

    >>> show(Cell(0.41, 0.4, 0.42, 0.01, 0.38, 0.441, 0.03))
    '[0.380, 0.441] {0.400 to 0.420, sd 0.010} p 0.030'
    """
    if cell is None:
        return "-"
    parts = []
    if cell.low is not None and cell.high is not None:
        parts.append(f"[{cell.low:.3f}, {cell.high:.3f}]")
    if cell.low_seed != cell.high_seed:
        sd = "" if cell.deviation is None else f", sd {cell.deviation:.3f}"
        parts.append(f"{{{cell.low_seed:.3f} to {cell.high_seed:.3f}{sd}}}")
    if cell.p is not None:
        parts.append(f"p {cell.p:.3f}")
    return " ".join(parts) or "-"


def show_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """ "669.0 M, then 774.8 M (361.4 M trained)", one part per run; "-" where none is known."""
    parts = []
    for every, trained in sizes:
        share = "" if trained == every else f" ({trained / 1e6:.1f} M trained)"
        parts.append(f"{every / 1e6:.1f} M{share}")
    return ", then ".join(parts) or "-"


def _plain(value: float | None) -> float | str:
    return "" if value is None else value
