"""Scores as Markdown tables, and the notes under them: n, release, programs, intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lapse.core.types import Score, describe_direction
from lapse.data.datasets.plain_info import REMARK
from lapse.evaluation.scores_file import ANSWERED
from lapse.metrics.bootstrap import MIN_PATIENTS
from lapse.metrics.laterality import SIDES
from lapse.metrics.paired_tests import Difference

# The main scores of each task; subgroups and paired tests use only these.
HEADLINES = (
    "change F1",
    "direction F1",
    "added F1",
    "missing F1",
    "level F1",
    "exact match",
    "BLEU-1",
    "BLEU-4",
    "METEOR",
    "ROUGE-L",
    "CIDEr",
    "BERTScore F1",
    "Acc@0.5",
    "mean IoU",
    "Acc@0.5, best region of the phrase",
    "accuracy",
    "macro accuracy",
)
UNKNOWN = "not known"
MIN_EVENTS = 20  # a score that rests on fewer is marked
FEW_PATIENTS = (
    f"with fewer than {MIN_PATIENTS} a 95% interval is too narrow (of 20 patients it covers 50 to "
    "94% of simulated true values, least for rare findings); one without width is not certain"
)
MAX_NAMES = 8  # scores that a note lists


def scores_table(rows: Mapping[str, Mapping[str, Score]]) -> list[list[str]]:
    """A header and one line per row: value and interval of every score; last, what is better.

    Scores of one finding or region (`details["kind"]`) are in `parts_table`.
    """
    return _table(rows, {name: is_of_side(name) for name in _names(rows, None)})


def _names(rows: Mapping[str, Mapping[str, Score]], kind: str | None) -> list[str]:
    """The scores of this kind in any row, None for those that have no kind."""
    scores = (item for of_row in rows.values() for item in of_row.items())
    return list(dict.fromkeys(name for name, s in scores if s.details.get("kind") == kind))


def _table(
    rows: Mapping[str, Mapping[str, Score]], has_count: Mapping[str, bool]
) -> list[list[str]]:
    """A header, the rows, and the better direction and range of each score.

    `has_count`: name -> whether the header gives the number of true changes.
    """
    labels = [
        f"{name} (n {counts_of(rows, name)})" if is_counted else name
        for name, is_counted in has_count.items()
    ]
    lines = [[row, *(format_score(s.get(name)) for name in has_count)] for row, s in rows.items()]
    scores = (next(s[name] for s in rows.values() if name in s) for name in has_count)
    return [["", *labels], *lines, ["better", *(score.direction for score in scores)]]


def is_of_side(name: str) -> bool:
    """Whether a score is that of questions about one side."""
    return name.startswith(tuple(f"{side}-side " for side in SIDES))


def parts_table(rows: Mapping[str, Mapping[str, Score]], kind: str) -> list[list[str]]:
    """One line per row, one column per score of a finding or region; [] without any value."""
    names = [
        name
        for name in _names(rows, kind)
        if not name.endswith((" precision", " recall"))
        and any(_has_value(scores.get(name)) for scores in rows.values())
    ]
    return _table(rows, dict.fromkeys(names, True)) if names else []


def _has_value(score: Score | None) -> bool:
    return score is not None and not math.isnan(score.value)


def counts_of(rows: Mapping[str, Mapping[str, Score]], name: str) -> str:
    """ "10", or "10 / 9" where rows have different samples, as silver and gold boxes do."""
    details = [scores[name].details for scores in rows.values() if name in scores]
    return " / ".join(dict.fromkeys(item.get("true", item.get("n", "-")) for item in details))


def differences_table(differences: Sequence[Difference]) -> list[list[str]]:
    """One line per score: both systems, second minus first, p and effect."""
    table = [["score", "first", "second", "second - first", "p", "p (Holm)", "effect", "better"]]
    for row in differences:
        table.append(
            [
                row.name,
                f"{row.first:.3f}",
                f"{row.second:.3f}",
                f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]",
                f"{row.p:.4f}",
                "-" if row.p_holm is None else f"{row.p_holm:.4f}",
                "-" if row.effect is None else f"{row.effect:+.2f}",
                describe_direction(row.higher_is_better, row.range),
            ]
        )
    return table


def table_note(rows: Mapping[str, Mapping[str, Score]], facts: Mapping[str, str]) -> str:
    """The note under a table: n, release, split, tokenizer, METEOR program, idf corpus.

    The remark of a data set about its labels is the first line. All values are those of the first
    row; the n of rows with other samples is added.
    """
    scores = next(iter(rows.values()))
    note = {name: facts.get(name, UNKNOWN) for name in ("data release", "split protocol")}
    for key, label in (
        ("tokenizer", "tokenizer"),
        ("backend", "METEOR"),
        ("idf corpus", "idf corpus"),
        ("model", "BERT"),
        ("layer", "BERT layer"),
        ("rescaled", "BERTScore rescaled"),
        ("interval", "intervals"),
    ):
        values = dict.fromkeys(s.details[key] for s in scores.values() if key in s.details)
        if values:
            texts = (text for text in values if not text.startswith("none"))
            note[label] = next(texts, next(iter(values)))
    n = _num_samples(scores)
    counts = {row: _num_samples(row_scores) for row, row_scores in rows.items()}
    others = [facts[ANSWERED]] if ANSWERED in facts else []
    others += [f"{row}: {count}" for row, count in counts.items() if count != n]
    n += f" ({', '.join(others)})" if others else ""
    facts_line = f"n: {n}; " + "; ".join(f"{name}: {value}" for name, value in note.items())
    notes = interval_notes({name: score.details for name, score in scores.items()})
    remark = [f"remark: {facts[REMARK]}"] if REMARK in facts else []
    return "\n".join((*remark, facts_line, *notes))


def _num_samples(scores: Mapping[str, Score]) -> str:
    return next((s.details["n"] for s in scores.values() if "n" in s.details), UNKNOWN)


def interval_notes(details: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences on intervals that are unreliable or absent, with the reason; [] where all hold.

    Args:
        details: name -> `Score.details`.
    """
    notes = []
    texts = (str(item.get("patients", "")) for item in details.values())
    counts = [int(text) for text in texts if text.isdigit()]
    if counts and min(counts) < MIN_PATIENTS:
        notes.append(f"intervals of {min(counts)} patients: {FEW_PATIENTS}")
    reasons: dict[str, list[str]] = {}
    for name, item in details.items():
        interval = str(item.get("interval", ""))
        if interval.startswith("none: "):
            reasons.setdefault(interval.removeprefix("none: "), []).append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        notes.append(f"no interval ({reason}): {', '.join(names[:MAX_NAMES])}{more}")
    return notes


def headlines(scores: Mapping[str, Score]) -> dict[str, Score]:
    """The main scores of a task."""
    return {name: scores[name] for name in HEADLINES if name in scores}


def format_score(score: Score | None) -> str:
    """ "0.412 [0.380, 0.441]", or "-" where there is none or it is undefined (0 / 0).

    "(7 events)" follows a score that rests on fewer than 20.
    """
    if score is None or not _has_value(score):
        return "-"
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f" [{score.low:.3f}, {score.high:.3f}]"
    return f"{score.value:.3f}{interval}{few_events(score.details)}"


def few_events(details: Mapping[str, Any]) -> str:
    """The remark on a score that rests on fewer than MIN_EVENTS; "" for others."""
    events = str(details.get("events", ""))
    if not events.isdigit() or int(events) >= MIN_EVENTS:
        return ""
    return f" ({events} event{'' if events == '1' else 's'})"


def format_markdown(table: Sequence[Sequence[str]]) -> str:
    """The transposed table as Markdown: one line per score, one column per row."""
    transposed = list(zip(*table, strict=True))
    return format_plain([["score", *transposed[0][1:]], *transposed[1:]])


def format_plain(table: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(table[0]) + " |", "|---" * len(table[0]) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table[1:]]
    return "\n".join(lines)
