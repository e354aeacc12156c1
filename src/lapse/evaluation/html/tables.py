"""scores.json -> tables: headline, every score, findings, consistency, subgroups, differences.

Read by key and defensively: a scores file of another version, or of another program that writes
{"scores": {task: {name: {"value": ..., "low": ..., "high": ...}}}}, gives the tables it can.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lapse.core.grammar import FINDINGS
from lapse.evaluation.html.elements import Table

# What each of the first numbers means, for a reader who does not count n-grams.
WORDS = {
    "exact match": "answers that name exactly the true changes",
    "change F1": "balance of the two below",
    "change precision": "of the changes that were named, those that are true",
    "change recall": "of the true changes, those that were named",
    "added F1": "the same for findings only in the main image",
    "missing F1": "the same for findings only in the reference image",
    "level F1": "the same for changes of degree",
    "hallucination rate": "findings in answers that the truth does not name",
    "omission rate": "findings of the truth that the answer does not name",
    "wrong direction": "right finding, opposite change",
    "contradiction rate": "answers that contradict themselves",
    "unparsed rate": "answers that were not understood in full",
    "BLEU-4": "shared word sequences; templates alone earn much of it",
    "METEOR": "shared words and synonyms; likewise",
    "ROUGE-L": "longest shared word sequence; likewise",
    "CIDEr": "shared sequences, rare ones count more",
    "BERTScore": "likeness of meaning by a language model",
    "Acc@0.5": "boxes that overlap the annotation by half",
    "mean IoU": "mean overlap of boxes",
    "malformed rate": "answers without a readable box",
    "swap law": "exchanging the images inverts the answer",
    "swap law, change named": "the same, where either answer names a change",
    "identity": "the same image twice: nothing has changed",
    "acquisition": "another exposure, the same answer",
    "acquisition, change named": "the same, where either answer names a change",
    "shuffled reference: same answer": "another patient's reference changes nothing: it is ignored",
    "shuffled reference: change F1 lost": "what another patient's reference costs",
    "blank reference: same answer": "a grey reference changes nothing: it is ignored",
    "blank reference: change F1 lost": "what a grey reference costs",
}
TITLES = {
    "diff_vqa": "Difference questions",
    "consistency": "Consistency: do answers that belong together agree?",
    "caref": "Boxes of named regions (caref)",
    "aref": "Boxes of phrases (aref)",
    "gcap": "Words for boxes (gcap)",
    "cap": "Reports (cap)",
}
OWN_SECTION = ("confidence", "abstention")  # told further down the page, in words and plots
Rows = Mapping[str, Mapping[str, Any]]  # name of a score -> its value, low, high


def read_scores(path: Path) -> dict[str, Any]:
    """The content of a scores file.

    Raises:
        ValueError: no such file, or not a JSON object.
    """
    if not path.is_file():
        raise ValueError(f"no scores file {path}: make one with `lapse evaluate`")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} is no scores file: it holds {type(values).__name__}")
    return values


def score_tables(scores: Mapping[str, Any], system: str) -> list[Table]:
    """One table per task: its first numbers, the system beside the other rows of the file."""
    tables = []
    for task, columns in _columns(scores, system):
        names = [name for name in WORDS if any(_number(c.get(name)) for c in columns.values())]
        names = names or list(columns[system])[:12]
        if names and task not in OWN_SECTION:
            tables.append(_table(TITLES.get(task, task), names, columns))
    return tables


def every_score(scores: Mapping[str, Any], system: str) -> list[Table]:
    """One table per task with every score of the file that is not about one finding."""
    return [
        _table(task, [name for name in columns[system] if not name.startswith(FINDINGS)], columns)
        for task, columns in _columns(scores, system)
    ]


def _columns(scores: Mapping[str, Any], system: str) -> Iterator[tuple[str, dict[str, Rows]]]:
    """Task -> name of a column -> its scores, those of the system first."""
    beside = _mapping(scores.get("beside"))
    for task, found in _mapping(scores.get("scores")).items():
        others = {
            row.rpartition("/")[2]: _mapping(_mapping(values).get(task))
            for row, values in beside.items()
        }
        yield (
            str(task),
            {system: _mapping(found), **{row: one for row, one in others.items() if one}},
        )


def finding_intervals(scores: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Finding -> interval of its F1, where the file has one under "<finding> F1"."""
    found = _mapping(_mapping(scores.get("scores")).get("diff_vqa"))
    intervals = {}
    for finding in FINDINGS:
        score = _mapping(found.get(f"{finding} F1"))
        low, high = score.get("low"), score.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float):
            intervals[finding] = (float(low), float(high))
    return intervals


def subgroup_tables(scores: Mapping[str, Any]) -> list[Table]:
    """Tables of the file's "subgroups": every nested mapping that holds scores is a row.

    What the file lists under "hidden subgroups" stands below; a table of that alone has no rows.
    """
    tables = []
    hidden = _mapping(scores.get("hidden subgroups"))
    for title, groups in _mapping(scores.get("subgroups")).items():
        rows = list(_leaves(_mapping(groups), ()))
        names = list(dict.fromkeys(name for _, found in rows for name in found))
        names = [name for name in WORDS if name in names] or names[:8]
        cells = tuple(
            (label or title, _num_samples(found), *(format_cell(found.get(name)) for name in names))
            for label, found in rows
        )
        listed = hidden.get(title)
        note = "; ".join(map(str, listed)) if isinstance(listed, list) else ""
        note = f"Not shown, fewer than 50 patients: {note}." if note else ""
        if (cells and names) or note:
            name = TITLES.get(title, str(title))
            tables.append(Table(name, ("group", "n", *names), cells, note))
    return tables


def _num_samples(found: Rows) -> str:
    told = (_mapping(_mapping(score).get("details")).get("n") for score in found.values())
    return next((str(n) for n in told if n is not None), "-")


def difference_tables(scores: Mapping[str, Any]) -> list[Table]:
    """One table for each two systems of the file's "differences" (`lapse compare`)."""
    tables = []
    for task, pairs in _mapping(scores.get("differences")).items():
        for pair, listed in _mapping(pairs).items():
            found = [_mapping(row) for row in listed] if isinstance(listed, list) else []
            cells = tuple(
                (
                    str(row["name"]),
                    WORDS.get(str(row["name"]), ""),
                    _digits(row, "first"),
                    _digits(row, "second"),
                    f"{_digits(row, 'value', '+')} "
                    f"[{_digits(row, 'low', '+')}, {_digits(row, 'high', '+')}]",
                    _digits(row, "p_holm"),
                    _digits(row, "effect", "+"),
                )
                for row in found
                if "name" in row
            )
            columns = ("score", "in words", "first", "second", "second - first", "p", "effect")
            title = f"{TITLES.get(task, task)}: {pair}"
            if cells:
                tables.append(Table(title, columns, cells))
    return tables


def _digits(row: Mapping[str, Any], name: str, sign: str = "") -> str:
    value = row.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:{sign}.3f}" if known else "-"


def _leaves(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Rows]]:
    """(label, scores) of every mapping below whose values are scores."""
    here = {name: value for name, value in node.items() if _number(value)}
    if here:
        yield ", ".join(path), here
    for name, value in node.items():
        if isinstance(value, Mapping) and name not in here:
            step = () if name == "scores" else (str(name),)
            yield from _leaves(value, path + step)


def _table(title: str, names: Sequence[str], columns: Mapping[str, Rows]) -> Table:
    rows = tuple(
        (name, WORDS.get(name, ""), *(format_cell(one.get(name)) for one in columns.values()))
        for name in names
    )
    return Table(title, ("score", "in words", *columns), rows)


def format_cell(score: object) -> str:
    """ "0.412 [0.380, 0.441]", or "-" where there is no number."""
    if not _number(score):
        return "-"
    values = _mapping(score)
    low, high = values.get("low"), values.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{values['value']:.3f} [{low:.3f}, {high:.3f}]"
    return f"{values['value']:.3f}"


def _number(score: object) -> bool:
    value = _mapping(score).get("value")
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
