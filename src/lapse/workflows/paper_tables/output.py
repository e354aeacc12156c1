"""A table as Markdown, CSV and HTML: measured scores next to the numbers printed in the paper.

The CSV file has one line per row and score, for other programs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from lapse.core.files import write_text
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.line_chart import Chart, Curve
from lapse.evaluation.html.run_page import PairExample, RunReport, render_run_report
from lapse.workflows.paper_tables.results import Cell, Cells, RowResult, cells
from lapse.workflows.paper_tables.spec import TableSpec

FIELDS = (
    *("table", "row", "name", "score", "better", "value", "seeds", "lowest_seed", "highest_seed"),
    "deviation_over_seeds",
    *("patients_low", "patients_high", "p_against_ours_holm", "printed", "parameters", "trained"),
    "not_run_because",
)


def write_scores_table(
    stem: Path,
    spec: TableSpec,
    rows: Sequence[RowResult],
    facts: Mapping[str, str],
    remarks: Sequence[str] = (),
) -> None:
    """Write stem.md, stem.csv and stem.html, each atomically; `remarks` are printed on top."""
    has_ours = any(row.row.key == spec.ours for row in rows)
    table = cells(rows, list(spec.columns.values()), spec.ours) if has_ours else {}
    tables = (scores_table(spec, rows, table), _intervals(spec, rows, table), _sizes(rows))
    notes = (*remarks, *_notes(spec, rows), *floor_notes(spec, rows, table))
    charts = tuple(
        Chart(
            row.row.name,
            tuple(
                Curve(f"validation loss of {name}", curve, is_validation=True)
                for name, curve in row.curves.items()
                if curve
            ),
        )
        for row in rows
        if any(row.curves.values())
    )
    report = RunReport(spec.title, notes, charts, tables, provenance=facts)
    _write(stem, as_csv(stem.name, spec, rows, table), tables, report)


def write_examples_table(
    stem: Path,
    spec: TableSpec,
    rows: Sequence[RowResult],
    examples: Sequence[PairExample],
    facts: Mapping[str, str],
) -> None:
    """Write the answers of each row to a few pairs, as in the paper's Table 3."""
    lines = tuple(
        (f"{number}", who, text)
        for number, example in enumerate(examples, start=1)
        for who, text in (
            ("question", example.question),
            ("truth", example.truth),
            *((answer.name, answer.text) for answer in example.answers),
        )
    )
    table = Table(spec.title, ("case", "who", "text"), lines)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *lines])
    notes = tuple(_notes(spec, rows))
    report = RunReport(spec.title, notes, pairs=tuple(examples), provenance=facts)
    _write(stem, text.getvalue(), [table], report)


def _write(stem: Path, text: str, tables: Sequence[Table], report: RunReport) -> None:
    write_text(stem.with_suffix(".csv"), text)
    write_text(stem.with_suffix(".md"), as_markdown(report, tables))
    write_text(stem.with_suffix(".html"), render_run_report(report))


def as_csv(name: str, spec: TableSpec, rows: Sequence[RowResult], table: Cells) -> str:
    """One line per row and column."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        num_parameters = row.parameters[-1] if row.parameters else ("", "")
        for title, column in spec.columns.items():
            cell = table.get(row.row.key, {}).get(column)
            values: dict[str, object] = {
                "table": name,
                "row": row.row.key,
                "name": row.row.name,
                "score": title,
                "seeds": len(row.scores),
                "printed": row.row.printed.get(title, ""),
                "parameters": num_parameters[0],
                "trained": num_parameters[1],
                "not_run_because": row.reason,
            }
            if cell is not None:
                values |= {
                    "better": cell.direction,
                    "value": cell.value,
                    "lowest_seed": cell.low_seed,
                    "highest_seed": cell.high_seed,
                    "deviation_over_seeds": cell.deviation,
                    "patients_low": cell.low,
                    "patients_high": cell.high,
                    "p_against_ours_holm": cell.p,
                }
            writer.writerow(values)  # None and missing values are empty
    return text.getvalue()


def as_markdown(report: RunReport, tables: Sequence[Table]) -> str:
    """Title, notes, tables and where the numbers come from."""
    parts = [f"# {report.title}", *report.summary]
    for table in tables:
        lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
        )
        parts += [text] if not table.note else [text, table.note]
    parts.append("\n".join(f"- {key}: {value}" for key, value in report.provenance.items()))
    return "\n\n".join(parts) + "\n"


def scores_table(spec: TableSpec, rows: Sequence[RowResult], table: Cells) -> Table:
    """The mean scores next to those of the paper; the last line gives the better direction."""
    is_printed = {title: any(title in row.printed for row in spec.rows) for title in spec.columns}
    columns = ["row"]
    for title in spec.columns:
        columns += [title, "printed"] if is_printed[title] else [title]
    lines = []
    for row in rows:
        line = [row.row.name]
        for title, column in spec.columns.items():
            cell = table.get(row.row.key, {}).get(column)
            line.append("-" if cell is None else f"{cell.value:.3f}")
            if is_printed[title]:
                printed = row.row.printed.get(title)
                line.append("" if printed is None else f"{printed:.3f}")
        lines.append(tuple(line))
    better = ["better"]
    for title, column in spec.columns.items():
        directions = (of_row[column].direction for of_row in table.values() if column in of_row)
        better.append(next(filter(None, directions), "-"))
        better += [""] if is_printed[title] else []
    lines.append(tuple(better))
    note = "Means over seeds."
    if any(is_printed.values()):
        note += ' "printed": the number in the paper.'
    return Table(spec.title, tuple(columns), tuple(lines), note, marked=(_name(spec, spec.ours),))


def _intervals(spec: TableSpec, rows: Sequence[RowResult], table: Cells) -> Table:
    lines = tuple(
        (
            row.row.name,
            *(show(table.get(row.row.key, {}).get(column)) for column in spec.columns.values()),
        )
        for row in rows
        if not row.reason
    )
    note = (
        "[95% interval over patients, of the mean over seeds]; {lowest to highest seed, sd: "
        "standard deviation over seeds}; p: paired permutation test over patients against ours, "
        "corrected by Holm's method over the rows of a column."
    )
    title = "Intervals, and tests against ours"
    return Table(title, ("row", *spec.columns), lines, note, marked=(_name(spec, spec.ours),))


def _name(spec: TableSpec, key: str) -> str:
    return next(row.name for row in spec.rows if row.key == key)


def _sizes(rows: Sequence[RowResult]) -> Table:
    lines = []
    for row in rows:
        loss = f"{row.curve[0][1]:.3f} to {row.curve[-1][1]:.3f}" if row.curve else "-"
        published = row.row.published_size or "-"
        lines.append((row.row.name, show_sizes(row.parameters), published, loss, row.row.note))
    columns = ("row", "parameters at the paper's scale", "published", "validation loss", "note")
    return Table("Sizes and learning", columns, tuple(lines))


def _notes(spec: TableSpec, rows: Sequence[RowResult]) -> list[str]:
    notes = [f"Section {spec.section} of the paper."] if spec.section else []
    rising = [f"{row.row.name} ({', '.join(row.not_falling)})" for row in rows if row.not_falling]
    num_trained = sum(any(row.curves.values()) for row in rows)
    if rising:
        notes.append(f"The validation loss did not fall for: {'; '.join(rising)}.")
    elif num_trained:
        notes.append(
            f"The last validation loss is below the first in every run of {num_trained} rows."
        )
    return notes + [f"Not run, {row.row.name}: {row.reason}" for row in rows if row.reason]


def floor_notes(spec: TableSpec, rows: Sequence[RowResult], table: Cells) -> list[str]:
    """How many rows exceed the floor in the main columns, then each row that does not exceed it
    in some column, with both values."""
    floor = table.get(spec.floor, {})
    if not floor:
        return []
    name = _name(spec, spec.floor)
    notes = []
    num_rows = num_above = 0
    for row in rows:
        scores = table.get(row.row.key, {})
        if row.row.key == spec.floor or not scores:
            continue
        not_above = {
            title: f"{title} ({scores[column].value:.3f} against {floor[column].value:.3f})"
            for title, column in spec.columns.items()
            if column in scores and column in floor and scores[column].value <= floor[column].value
        }
        num_rows += 1
        num_above += not_above.keys().isdisjoint(spec.main_columns)
        if not_above:
            notes.append(f"{row.row.name} is not above {name} in {', '.join(not_above.values())}.")
    columns = " and ".join(spec.main_columns)
    return [f"Above {name} in {columns} (main): {num_above} of {num_rows} rows.", *notes]


def show(cell: Cell | None) -> str:
    """The known parts of a cell, "-" where there are none.

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
    """ "669.0 M, then 774.8 M (361.4 M trained)", one part per run, or "-"."""
    parts = []
    for total, trained in sizes:
        note = "" if trained == total else f" ({trained / 1e6:.1f} M trained)"
        parts.append(f"{total / 1e6:.1f} M{note}")
    return ", then ".join(parts) or "-"
