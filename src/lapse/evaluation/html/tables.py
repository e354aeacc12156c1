"""scores.json -> tables: headline scores, all scores, findings, subgroups, differences.

Values are read by key and checked, so that a scores file of another version or another program,
{"scores": {task: {name: {"value": ..., "low": ..., "high": ...}}}}, gives as many tables as it can.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lapse.core.findings import FINDINGS
from lapse.core.types import describe_direction
from lapse.evaluation.blind_baselines import BASELINES
from lapse.evaluation.html.elements import Table
from lapse.evaluation.score_tables import HEADLINES, few_events, interval_notes, is_of_side

# The headline scores with their meaning for readers who do not know n-gram metrics.
DESCRIPTIONS = {
    "exact match": "answers that name exactly the true changes",
    "change F1": "balance of the two below",
    "change F1, fully read": "the same, of answers and references that are read in full",
    "change precision": "of the named changes, those that are true",
    "change recall": "of the true changes, those that are named",
    "direction F1": "finding and direction (worse or better), whatever the form",
    "added F1": "the same for findings only in the main image",
    "missing F1": "the same for findings only in the reference image",
    "level F1": "the same for changes of degree",
    "hallucination rate": "findings in answers that the truth does not name",
    "omission rate": "findings of the truth that the answer does not name",
    "wrong direction": "right finding, opposite direction (better for worse)",
    "contradiction rate": "answers that contradict themselves",
    "unparsed rate": "answers that the grammar cannot parse in full",
    "BLEU-4": "shared word sequences; a fixed template already scores well",
    "METEOR": "shared words and synonyms; likewise",
    "ROUGE-L": "longest shared word sequence; likewise",
    "CIDEr": "shared word sequences, weighted by rarity",
    "BERTScore": "similarity of meaning according to a language model",
    "Acc@0.5": "boxes whose IoU with the annotation is at least 0.5",
    "mean IoU": "mean overlap of boxes",
    "malformed rate": "answers without a readable box",
    "undecided rate": "guarded answers that state neither a change nor its absence",
    "unchanged named as changed": "of the unchanged pairs, those with a stated change",
    "unusual input rate": "pairs with a film that the input check warns about or refuses",
    "refused input rate": "pairs with a film that the input check refuses",
    "swap law": "swapping the images inverts the answer",
    "swap law, change named": "the same, where either answer names a change",
    "identity": "two identical images: nothing has changed",
    "acquisition": "another exposure, the same answer",
    "acquisition, change named": "the same, where either answer names a change",
    "shuffled reference: same answer": "another patient's reference does not change the answer",
    "shuffled reference: change F1 lost": "loss with another patient's reference",
    "blank reference: same answer": "a gray reference does not change the answer",
    "blank reference: change F1 lost": "loss with a gray reference",
}
TITLES = {
    "diff_vqa": "Difference questions",
    "consistency": "Consistency: do related answers agree?",
    "guarded": "Guarded answers: changes that several readings agree on",
    "caref": "Boxes of named regions (caref)",
    "aref": "Boxes of phrases (aref)",
    "gcap": "Words for boxes (gcap)",
    "cap": "Reports (cap)",
}
GOLD = "gold: "  # prefix of the rows on gold boxes
SEPARATE_SECTIONS = ("confidence", "abstention")
Scores = Mapping[str, Mapping[str, Any]]  # name -> {"value": ..., "low": ..., "high": ...}


def score_tables(scores: Mapping[str, Any], system: str) -> list[Table]:
    """One table per task with its headline scores: the system, then the other rows of the file."""
    tables = []
    for task, columns in _columns(scores, system):
        of_task = columns.values()
        names = [name for name in DESCRIPTIONS if any(_has_value(s.get(name)) for s in of_task)]
        names = names or list(columns[system])[:12]
        if names and task not in SEPARATE_SECTIONS:
            tables.append(_table(TITLES.get(task, task), names, columns))
    return tables


def every_score(scores: Mapping[str, Any], system: str) -> list[Table]:
    """One table per task with every score of the file that does not concern a single finding."""
    return [
        _table(task, [name for name in columns[system] if not name.startswith(FINDINGS)], columns)
        for task, columns in _columns(scores, system)
    ]


def _columns(scores: Mapping[str, Any], system: str) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Task -> name of a column -> its scores, those of the system first."""
    for task, of_system in _mapping(scores.get("scores")).items():
        columns: dict[str, Scores] = {system: _mapping(of_system)}
        for row, values in _mapping(scores.get("comparisons")).items():
            if of_row := _mapping(_mapping(values).get(task)):
                columns[row.rpartition("/")[2]] = of_row
        yield str(task), _best_first(columns)


def _best_first(columns: dict[str, Scores]) -> dict[str, Scores]:
    """The systems by their first main score, the best first, then the image-blind baselines."""
    systems = [row for row in columns if row.removeprefix(GOLD) not in BASELINES]
    name = next((n for n in HEADLINES if any(_has_value(columns[r].get(n)) for r in systems)), "")

    def value(row: str) -> float:
        score = _mapping(columns[row].get(name))
        return float(score["value"]) if _has_value(score) else -math.inf

    order = sorted(systems, key=value, reverse=True)
    return {row: columns[row] for row in dict.fromkeys((*order, *columns))}


def finding_intervals(scores: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Finding -> interval of its F1, where the file has one under "<finding> F1"."""
    of_task = _mapping(_mapping(scores.get("scores")).get("diff_vqa"))
    intervals = {name: _interval(_mapping(of_task.get(f"{name} F1"))) for name in FINDINGS}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def subgroup_tables(scores: Mapping[str, Any]) -> list[Table]:
    """Tables of the file's "subgroups": every nested mapping that holds scores is a row.

    A dimension with a single group is left out. The note lists the groups under
    "hidden_subgroups"; a table may consist of that note alone.
    """
    tables = []
    hidden = _mapping(scores.get("hidden_subgroups"))
    for title, groups in _mapping(scores.get("subgroups")).items():
        hidden_names = list(map(str, _list(hidden.get(title))))
        dimensions = {
            name: part
            for name, part in _mapping(groups).items()
            if not _is_single_group(str(name), part, hidden_names)
        }
        rows = list(_nested_scores(dimensions, ()))
        names = list(dict.fromkeys(name for _, of_group in rows for name in of_group))
        names = [name for name in DESCRIPTIONS if name in names] or names[:8]
        cells = tuple(
            (label or title, _count(of_group), *(format_cell(of_group.get(name)) for name in names))
            for label, of_group in rows
        )
        note = "; ".join(hidden_names)
        note = f"Not shown, fewer than 50 patients or not read: {note}." if note else ""
        if (cells and names) or note:
            heading = TITLES.get(title, str(title))
            better = {name: _better(name, [of_group for _, of_group in rows]) for name in names}
            labels = (f"{name} ({text})" if text else name for name, text in better.items())
            tables.append(Table(heading, ("group", "n", *labels), cells, note))
    return tables


def _is_single_group(dimension: str, groups: object, hidden: Sequence[str]) -> bool:
    """Whether all samples are in one group, whose scores are those of the main table."""
    values = list(_mapping(groups).values())
    is_alone = len(values) == 1 and not _has_value(values[0])
    return is_alone and not any(name.startswith(f"{dimension} ") for name in hidden)


def _better(name: str, columns: Iterable[Scores]) -> str:
    """The better direction and range of a score: "lower, 0 to 1"; "" where none gives it."""
    return next((text for scores in columns if (text := _direction(scores.get(name)))), "")


def _count(scores: Scores) -> str:
    counts = (_mapping(_mapping(score).get("details")).get("n") for score in scores.values())
    return next((str(count) for count in counts if count is not None), "-")


def difference_tables(scores: Mapping[str, Any]) -> list[Table]:
    """One table for each two systems of the file's "differences" (`lapse compare`)."""
    tables = []
    for task, pairs in _mapping(scores.get("differences")).items():
        for pair, listed in _mapping(pairs).items():
            rows = map(_mapping, _list(listed))
            cells = tuple(
                (
                    str(row["name"]),
                    DESCRIPTIONS.get(str(row["name"]), ""),
                    _direction(row) or "-",
                    _digits(row, "first"),
                    _digits(row, "second"),
                    f"{_digits(row, 'value', '+')} "
                    f"[{_digits(row, 'low', '+')}, {_digits(row, 'high', '+')}]",
                    _digits(row, "p_holm"),
                    _digits(row, "effect", "+"),
                )
                for row in rows
                if "name" in row
            )
            names = ("first", "second", "second - first", "p", "effect")
            columns = ("score", "meaning", "better", *names)
            title = f"{TITLES.get(task, task)}: {pair}"
            if cells:
                tables.append(Table(title, columns, cells))
    return tables


def _digits(row: Mapping[str, Any], name: str, sign: str = "") -> str:
    return f"{row[name]:{sign}.3f}" if _is_number(row.get(name)) else "-"


def _nested_scores(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Scores]]:
    """(label, scores) of every mapping below whose values are scores."""
    scores = {name: value for name, value in node.items() if _has_value(value)}
    if scores:
        yield ", ".join(path), scores
    for name, value in node.items():
        if isinstance(value, Mapping) and name not in scores:
            yield from _nested_scores(value, path if name == "scores" else (*path, str(name)))


def _table(title: str, names: Sequence[str], columns: Mapping[str, Scores]) -> Table:
    of_system = next(iter(columns.values()))
    details = {name: _mapping(_mapping(of_system.get(name)).get("details")) for name in names}
    rows = tuple(
        (
            f"{name} (n {details[name].get('true', '-')})" if is_of_side(name) else name,
            DESCRIPTIONS.get(name, ""),
            _better(name, columns.values()) or "-",
            *(format_cell(column.get(name)) for column in columns.values()),
        )
        for name in names
    )
    note = ". ".join(interval_notes(details))
    return Table(title, ("score", "meaning", "better", *columns), rows, note)


def _direction(score: object) -> str:
    """ "lower, 0 to 1", as `Score.direction`; "" where the file does not give it."""
    values = _mapping(score)
    is_higher, limits = values.get("higher_is_better"), values.get("range")
    if not isinstance(is_higher, bool):
        return ""
    if not isinstance(limits, list) or len(limits) != 2 or not all(map(_is_number, limits)):
        limits = None
    return describe_direction(is_higher, limits)


def format_cell(score: object) -> str:
    """ "0.412 [0.380, 0.441]", or "-" where there is no number."""
    values = _mapping(score)
    if not _has_value(values):
        return "-"
    interval = _interval(values)
    between = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{values['value']:.3f}{between}{few_events(_mapping(values.get('details')))}"


def _interval(score: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = score.get("low"), score.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return float(low), float(high)
    return None


def _has_value(score: object) -> bool:
    return _is_number(_mapping(score).get("value"))


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value == value  # nan is undefined


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
