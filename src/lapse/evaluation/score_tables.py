"""Scores as tables: systems side by side, one line a score, and under each what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lapse.core.types import Score
from lapse.metrics.paired_tests import Difference

# What a person reads first of each task; subgroups and paired tests show these alone.
HEADLINES = (
    "change F1",
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


def scores_table(rows: Mapping[str, Mapping[str, Score]]) -> list[list[str]]:
    """A header and one line per row: value and interval of every score of the whole.

    Scores of one finding or region (`details["kind"]`) have tables of their own.
    """
    names = list(
        dict.fromkeys(
            name
            for scores in rows.values()
            for name, score in scores.items()
            if "kind" not in score.details
        )
    )
    table = [["", *names]]
    for row, scores in rows.items():
        table.append([row, *(format_score(scores.get(name)) for name in names)])
    return table


def parts_table(rows: Mapping[str, Mapping[str, Score]], kind: str) -> list[list[str]]:
    """One line per row, one column per score of single findings or regions; [] without any."""
    names = list(
        dict.fromkeys(
            name
            for scores in rows.values()
            for name, score in scores.items()
            if score.details.get("kind") == kind and not name.endswith((" precision", " recall"))
        )
    )
    if not names:
        return []
    cells = [[row, *(format_score(s.get(name)) for name in names)] for row, s in rows.items()]
    return [["", *(f"{name} (n {_counts(rows, name)})" for name in names)], *cells]


def _counts(rows: Mapping[str, Mapping[str, Score]], name: str) -> str:
    """ "10", or "10 / 9" where rows have other samples, as silver and gold boxes do."""
    details = [scores[name].details for scores in rows.values() if name in scores]
    return " / ".join(dict.fromkeys(one.get("true", one.get("n", "-")) for one in details))


def differences_table(differences: Sequence[Difference]) -> list[list[str]]:
    """One line a score: both systems, second minus first, p and effect."""
    table = [["score", "first", "second", "second - first", "p", "p (Holm)", "effect"]]
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
            ]
        )
    return table


def table_note(rows: Mapping[str, Mapping[str, Score]], facts: Mapping[str, str]) -> str:
    """What stands under a table: n, release, split, tokenizer, METEOR backend, idf corpus.

    All but n is that of the first row; rows with other samples have their n beside it.
    """
    scores = next(iter(rows.values()))
    found = {name: facts.get(name, UNKNOWN) for name in ("data release", "split protocol")}
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
            found[label] = next(iter(values))
    n = _num_samples(scores)
    others = [f"{row}: {_num_samples(own)}" for row, own in rows.items() if _num_samples(own) != n]
    n += f" ({', '.join(others)})" if others else ""
    return f"n: {n}; " + "; ".join(f"{name}: {value}" for name, value in found.items())


def _num_samples(scores: Mapping[str, Score]) -> str:
    return next((s.details["n"] for s in scores.values() if "n" in s.details), UNKNOWN)


def headlines(scores: Mapping[str, Score]) -> dict[str, Score]:
    """The scores that a person reads first."""
    return {name: scores[name] for name in HEADLINES if name in scores}


def format_score(score: Score | None) -> str:
    """ "0.412 [0.380, 0.441]", or "-" where there is none."""
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"


def format_markdown(table: Sequence[Sequence[str]]) -> str:
    """The table turned on its side: one line per score, one column per row."""
    turned = list(zip(*table, strict=True))
    return format_plain([["score", *turned[0][1:]], *turned[1:]])


def format_plain(table: Sequence[Sequence[str]]) -> str:
    """The table as it stands, as Markdown."""
    lines = ["| " + " | ".join(table[0]) + " |", "|---" * len(table[0]) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table[1:]]
    return "\n".join(lines)
