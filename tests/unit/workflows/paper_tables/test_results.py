"""Cells of a table: means over seeds, the paired test, and Holm's correction."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lapse.core.types import Score, Statistics
from lapse.metrics.ngrams import bleu_of
from lapse.metrics.paired_tests import holm
from lapse.metrics.statistics import mean_score
from lapse.workflows.paper_tables.output import as_csv, floor_notes, scores_table, show
from lapse.workflows.paper_tables.results import RowResult, cells, over_seeds
from lapse.workflows.paper_tables.spec import RowSpec, TableSpec

PATIENTS = ("a", "a", "b", "c", "d", "e", "f", "g")


def row(key, *seeds, reason=""):
    spec = RowSpec(key=key, name=key.upper(), paper=("p",), tiny=("t",), printed={})
    scores = tuple(
        {"diff_vqa/x": replace(mean_score("x", values, {}), low=0.1, high=0.9)} for values in seeds
    )
    return RowResult(spec, scores, {"diff_vqa": PATIENTS}, reason=reason)


def all_exchanges(first, second, value) -> float:
    """The exact p: the score under every exchange of the rows of complete patients."""
    of = {name: [p == name for p in PATIENTS] for name in PATIENTS}
    observed = abs(value(second) - value(first))
    as_large = []
    for swapped in product((False, True), repeat=len(of)):
        left, right = first.copy(), second.copy()
        for name, swap in zip(of, swapped, strict=True):
            if swap:
                left[of[name]], right[of[name]] = second[of[name]], first[of[name]]
        as_large.append(abs(value(right) - value(left)) >= observed - 1e-12)
    return float(np.mean(as_large))


def test_p_of_a_mean_against_all_exchanges():
    ours = np.array([0.5, 0.4, 0.3, 0.6, 0.2, 0.5, 0.1, 0.4])
    other = ours + np.array([0.3, 0.1, 0.2, -0.1, 0.4, 0.05, 0.2, 0.3])
    exact = all_exchanges(ours, other, np.mean)
    table = cells([row("ours", ours), row("other", other)], ["diff_vqa/x"], "ours")
    assert table["other"]["diff_vqa/x"].p == pytest.approx(exact, abs=0.02)


def bleu_row(key, *seeds):
    """A row whose score is corpus BLEU-4 with sentence values."""
    plain = row(key, *[[0.0] * 8] * len(seeds))
    scores = []
    for sums in seeds:
        statistics = Statistics(sums, lambda rows: bleu_of(rows, 4))
        each = tuple(bleu_of(sums, 4).tolist())
        value = float(bleu_of(sums.sum(axis=0), 4))
        scores.append({"diff_vqa/x": Score("x", value, 0.1, 0.9, each, statistics=statistics)})
    return replace(plain, scores=tuple(scores))


def sentence_sums(seed: int) -> np.ndarray:
    """[8, 10] lengths, guesses and hits of eight answers, two of them long."""
    draw = np.random.default_rng(seed)
    length = np.array([6, 7, 6, 40, 6, 7, 45, 6])
    guesses = np.stack([length - order for order in range(4)], axis=1)
    hits = np.floor(guesses * draw.uniform(0.2, 1.0, size=(8, 1)))
    return np.concatenate([length[:, None], length[:, None], guesses, hits], axis=1).astype(float)


def test_a_corpus_score_is_tested_as_one():
    def corpus(sums):
        return float(bleu_of(sums.sum(axis=0), 4))

    def sentences(sums):
        return float(np.mean(bleu_of(sums, 4)))

    first, second = sentence_sums(3), sentence_sums(4)
    table = cells([bleu_row("ours", first), bleu_row("b", second)], ["diff_vqa/x"], "ours")
    p = table["b"]["diff_vqa/x"].p
    assert p == pytest.approx(all_exchanges(first, second, corpus), abs=0.03)
    # Means of sentence values are another test.
    assert abs(p - all_exchanges(first, second, sentences)) > 0.1


def test_seeds_are_exchanged_together():
    first, second = [[sentence_sums(seed) for seed in seeds] for seeds in ((3, 5), (4, 6))]
    table = cells([bleu_row("ours", *first), bleu_row("b", *second)], ["diff_vqa/x"], "ours")
    both = [np.concatenate(part, axis=1) for part in (first, second)]

    def mean(sums):
        total = sums.sum(axis=0)
        return float(bleu_of(total[:10], 4) + bleu_of(total[10:], 4)) / 2

    assert table["b"]["diff_vqa/x"].p == pytest.approx(all_exchanges(*both, mean), abs=0.03)
    score = over_seeds(["diff_vqa/x"], bleu_row("ours", *first).scores)["diff_vqa/x"]
    assert score.value == pytest.approx(mean(both[0]))
    assert float(score.statistics.score(both[0].sum(axis=0))) == pytest.approx(mean(both[0]))


def test_rows_that_cannot_be_compared_have_no_p():
    ours = row("ours", [0.1] * 8, [0.2] * 8)
    other_patients = replace(row("s", [0.9] * 8, [0.9] * 8), patients={"diff_vqa": PATIENTS[::-1]})
    bare = Score("x", 0.9, per_sample=(0.9,) * 8)
    no_statistics = replace(row("w"), scores=({"diff_vqa/x": bare},) * 2)
    table = cells(
        [ours, row("one", [0.9] * 8), other_patients, no_statistics], ["diff_vqa/x"], "ours"
    )
    assert all(table[key]["diff_vqa/x"].p is None for key in ("one", "s", "w"))


def test_a_row_equal_to_ours_has_p_1_and_a_better_one_less():
    ours = row("ours", [0.1, 0.2, 0.3, 0.1, 0.2, 0.1, 0.0, 0.2])
    same, better = row("same", ours.scores[0]["diff_vqa/x"].per_sample), row("better", [0.9] * 8)
    table = cells([ours, same, better], ["diff_vqa/x"], "ours")
    assert table["ours"]["diff_vqa/x"].p is None
    assert table["same"]["diff_vqa/x"].p == 1.0
    assert table["better"]["diff_vqa/x"].p < 0.05


def test_seeds_are_averaged_and_their_range_is_kept():
    cell = cells([row("ours", [0.0] * 8, [1.0] * 8)], ["diff_vqa/x"], "ours")["ours"]["diff_vqa/x"]
    assert (cell.value, cell.low_seed, cell.high_seed) == (0.5, 0.0, 1.0)
    assert cell.deviation == pytest.approx(0.5**0.5)
    assert (cell.low, cell.high) == (0.5, 0.5)  # every draw of patients has this mean
    assert show(cell) == "[0.500, 0.500] {0.000 to 1.000, sd 0.707}"
    assert show(None) == "-"


def test_one_seed_keeps_its_own_interval():
    cell = cells([row("ours", [0.5] * 8)], ["diff_vqa/x"], "ours")["ours"]["diff_vqa/x"]
    assert (cell.low, cell.high, cell.deviation) == (0.1, 0.9, None)


def test_the_interval_over_seeds_draws_each_patient_for_all_seeds():
    """Compared with plain resampling. Averaging the intervals of seeds would be wrong."""
    first = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    other = [1 - value for value in first]  # the errors of one seed are right in the other
    cell = cells([row("ours", first, other)], ["diff_vqa/x"], "ours")["ours"]["diff_vqa/x"]
    assert (cell.low, cell.high) == pytest.approx((0.5, 0.5))
    same = cells([row("ours", first, first)], ["diff_vqa/x"], "ours")["ours"]["diff_vqa/x"]
    names = sorted(set(PATIENTS))
    draw = np.random.default_rng(1)
    drawn = []
    for _ in range(4000):
        chosen = draw.choice(names, len(names))
        drawn.append(
            np.mean([first[i] for name in chosen for i in range(8) if PATIENTS[i] == name])
        )
    plain = np.quantile(drawn, [0.025, 0.975])
    assert (same.low, same.high) == pytest.approx(tuple(plain), abs=0.06)
    assert same.high - same.low > 0.4


def test_runs_whose_loss_does_not_fall_are_named():
    curves = {"one": ((0, 2.0), (5, 2.5)), "two": ((0, 2.0), (5, 1.0)), "short": ((0, 1.0),)}
    result = replace(row("ours", [0.5] * 8), curves=curves)
    assert result.not_falling == ("one",) and result.curve == ((0, 1.0),)
    assert row("ours").curve == ()


def test_rows_below_the_floor_are_named():
    rows = [row("ours", [0.5] * 8), row("low", [0.1] * 8), row("random", [0.2] * 8)]
    spec = TableSpec(
        title="T", section="0", tasks=("diff_vqa",), columns={"x": "diff_vqa/x"}, ours="ours",
        floor="random", rows=tuple(item.row for item in rows),
    )  # fmt: skip
    table = cells(rows, ["diff_vqa/x"], "ours")
    assert floor_notes(spec, rows, table) == [
        "Above RANDOM in x (main): 1 of 2 rows.",
        "LOW is not above RANDOM in x (0.100 against 0.200).",
    ]
    assert floor_notes(spec.model_copy(update={"floor": ""}), rows, table) == []


def test_rows_that_did_not_run_have_no_cell():
    table = cells([row("ours", [0.5] * 8), row("gone", reason="no preset")], ["diff_vqa/x"], "ours")
    assert table["gone"] == {}


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_the_markdown_states_the_better_direction():
    rows = [row("ours", [0.5] * 8), row("gone", reason="no preset")]
    spec = TableSpec(
        title="T", section="0", tasks=("diff_vqa",), columns={"x": "diff_vqa/x"}, ours="ours",
        rows=tuple(item.row for item in rows),
    )  # fmt: skip
    table = scores_table(spec, rows, cells(rows, ["diff_vqa/x"], "ours"))
    assert table.rows[-1] == ("better", "higher")


def test_the_csv_has_one_line_per_row_and_score():
    rows = [row("ours", [0.5] * 8), row("gone", reason="no preset")]
    spec = TableSpec(
        title="T", section="0", tasks=("diff_vqa",), columns={"x": "diff_vqa/x"}, ours="ours",
        rows=tuple(item.row for item in rows),
    )  # fmt: skip
    lines = as_csv("t", spec, rows, cells(rows, ["diff_vqa/x"], "ours")).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("t,ours,OURS,x,higher,0.5,1,") and lines[2].endswith("no preset")
