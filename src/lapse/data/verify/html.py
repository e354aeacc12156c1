"""The report of `verify` as one self-contained HTML page: no script, no network, all escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from lapse.data.verify.defect_kinds import KINDS
from lapse.data.verify.results import Defect, VerifyReport, number

SHOWN = 12  # ids of a kind on the page; JSON holds them all


def write_verify_page(path: Path, report: VerifyReport) -> Path:
    """Write the page; returns its path."""
    path.write_text(render_verify_page(report), encoding="utf-8")
    return path


def render_verify_page(report: VerifyReport) -> str:
    """The page as HTML text."""
    style = "bad" if report.num("error") else "known" if report.num("warning") else "good"
    parts = [
        "<h1>Raw data: what was found</h1>",
        f'<p class="verdict {style}">{_escape(_sentence(report))}</p>',
    ]
    for severity, title, note in (
        ("error", "Errors", "Records are lost or wrong: fetch the files again, or do not use "
         "these records."),
        ("warning", "Warnings", "Known of the published releases, or harmless: the loaders read "
         "on and count them."),
    ):  # fmt: skip
        found = [item for item in report.defects if item.kind.severity == severity]
        if found:
            parts += [f"<h2>{title}</h2>", f'<p class="note">{note}</p>', _defects(found)]
    parts += ["<h2>Rows</h2>", _rows(report)]
    if report.notes:
        lines = "".join(f"<li>{_escape(line)}</li>" for line in report.notes)
        parts += ["<h2>Not looked at</h2>", f"<ul>{lines}</ul>"]
    parts += ["<h2>Folders</h2>", _table(("data set", "folder"), report.roots, "facts")]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>lapse verify</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _sentence(report: VerifyReport) -> str:
    kinds = [kind for kind in KINDS if report.has_pixels or not kind.needs_pixels]
    return f"{report.verdict} ({len(kinds)} kinds of defect looked for)"


def _defects(defects: Sequence[Defect]) -> str:
    rows = []
    for item in defects:
        ids = "<br>".join(f"<code>{_escape(name)}</code>" for name in item.ids[:SHOWN])
        rest = item.count - len(item.ids[:SHOWN])
        if item.ids and rest:
            ids += f'<br><span class="note">and {number(rest)} more</span>'
        rows.append(
            f"<tr><td><b>{_escape(item.kind.code)}</b><br>{_escape(item.kind.sentence)}</td>"
            f'<td class="number">{number(item.count)}</td><td>{ids}</td></tr>'
        )
    return (
        '<table class="defects"><thead><tr><th>what</th><th class="number">count</th>'
        f"<th>which</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _rows(report: VerifyReport) -> str:
    rows = [
        (row.data_set, row.what, number(row.found), number(row.published), row.verdict)
        for row in report.rows
    ]
    return _table(("data set", "rows of", "found", "published", ""), rows, "rows")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], style: str) -> str:
    head = "".join(f"<th>{_escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<table class="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


STYLE = """
:root{color-scheme:light}
body{margin:0;background:#f6f7f8;color:#1b1f23;font:15px/1.5 system-ui,sans-serif}
main{max-width:1060px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:20px;margin:30px 0 6px}
.verdict{padding:8px 12px;border-left:4px solid;font-weight:600}
.bad{background:#fde8e0;border-color:#d55e00}.known{background:#fff4d6;border-color:#e69f00}
.good{background:#e2f4ee;border-color:#009e73}
.note{color:#4a5560;font-size:13px;margin:4px 0}
table{border-collapse:collapse;background:#fff;margin:8px 0;font-size:13.5px}
th,td{padding:5px 9px;border-bottom:1px solid #e1e5e9;text-align:left;vertical-align:top}
th{background:#eef1f4}
table.defects{width:100%;table-layout:fixed}
table.defects th:first-child{width:38%}table.defects th.number{width:70px}
.number,table.rows td:nth-child(3),table.rows th:nth-child(3),
table.rows td:nth-child(4),table.rows th:nth-child(4){text-align:right}
code{font-size:12px;overflow-wrap:anywhere}
table.facts td{overflow-wrap:anywhere}
"""
