"""Consistency of answers under probes: satisfied and violated laws are counted."""

import math
from dataclasses import replace

import pytest

from lapse.core.changes import Change, invert, render
from lapse.core.types import Prediction
from lapse.metrics.consistency import consistency, group_probes, pair_probes, split_id

EDEMA = frozenset({Change("edema", "added")})
TWO = frozenset({Change("hernia", "missing"), Change("edema", "level", "mild", "severe")})
NOTHING = frozenset()


def row(number: int, changes, probe: str = "", true=EDEMA, text: str | None = None) -> Prediction:
    name = f"diff_vqa/{number}" + (f"#{probe}" if probe else "")
    text = render(changes) if text is None else text
    return Prediction(name, "diff_vqa", text, (render(true),), patient=f"p{number}")


PLAIN = [row(0, EDEMA), row(1, TWO), row(2, NOTHING), row(3, EDEMA)]


def test_ids_name_the_probe():
    assert split_id("diff_vqa/1#identity") == ("diff_vqa/1", "identity")
    assert split_id("a#b") == ("a#b", "") and split_id("swap") == ("swap", "")
    rows = [row(0, EDEMA, "identity"), row(1, EDEMA, "swap"), row(0, EDEMA, "swap")]
    assert {name: len(items) for name, items in group_probes(rows).items()} == {
        "swap": 2,
        "identity": 1,
    }
    with pytest.raises(ValueError, match=r"'x#swp' names no probe.*did you mean 'swap'"):
        group_probes([Prediction("x#swp", "diff_vqa", "", ("y",))])


def test_a_consistent_system_satisfies_every_law():
    answers = list(enumerate((EDEMA, TWO, NOTHING, EDEMA)))
    probes = [row(n, invert(changes), "swap") for n, changes in answers]
    probes += [row(n, NOTHING, "identity") for n in range(4)]
    probes += [row(n, changes, "acquisition") for n, changes in answers]
    scores = consistency(PLAIN, probes)
    for name in ("swap law", "swap law, change named", "swap law, clauses", "identity"):
        assert scores[name].value == 1.0
    assert scores["acquisition"].value == scores["acquisition F1"].value == 1.0
    assert scores["swap law, change named"].details["n"] == "3"


def test_violated_laws_are_counted():
    """Answers that are not inverted violate the swap law wherever they name a change."""
    probes = [row(n, changes, "swap") for n, changes in enumerate((EDEMA, TWO, NOTHING))]
    scores = consistency(PLAIN, probes)
    assert scores["swap law"].value == pytest.approx(1 / 3)  # only "nothing" equals its inverse
    assert scores["swap law, change named"].value == 0.0
    assert scores["swap law, clauses"].value == 0.0
    half = consistency(PLAIN[1:2], [row(1, {Change("hernia", "added")}, "swap")])
    assert half["swap law"].value == 0.0 and half["swap law, clauses"].value == 0.5
    answers = [EDEMA, NOTHING, NOTHING, EDEMA | {Change("hernia", "added")}]
    again = consistency(PLAIN, [row(n, c, "acquisition") for n, c in enumerate(answers)])
    assert again["acquisition"].value == 0.5
    assert again["acquisition F1"].value == pytest.approx(2 * 2 / (4 + 3))
    identity = [row(0, NOTHING, "identity"), row(1, EDEMA, "identity")]
    identity.append(row(2, None, "identity", text="nothing has changed. really"))
    assert consistency(PLAIN, identity)["identity"].value == pytest.approx(1 / 3)


def test_an_unparsed_answer_violates_every_law():
    others = range(1, 5)
    plain = [row(0, None, text="gibberish"), *(row(n, NOTHING) for n in others)]
    for probe, name in (("swap", "swap law"), ("acquisition", "acquisition")):
        probes = [row(0, None, probe, text="gibberish"), *(row(n, NOTHING, probe) for n in others)]
        assert consistency(plain, probes)[name].value == 0.8


def test_scores_fall_when_the_reference_is_replaced():
    probes = [row(n, NOTHING, "blank") for n in range(4)]
    scores = consistency(PLAIN, probes)
    assert scores["blank reference: same answer"].value == 0.25
    assert scores["blank reference: exact match lost"].value == 0.5  # rows 0 and 3 were right
    lost = scores["blank reference: change F1 lost"]
    assert lost.value == pytest.approx(2 * 2 / (4 + 4))
    same = consistency(PLAIN, [row(n, p, "shuffled") for n, p in enumerate((EDEMA, TWO))])
    assert same["shuffled reference: same answer"].value == 1.0
    assert same["shuffled reference: change F1 lost"].value == 0.0


def test_intervals_are_by_the_patients_of_the_probed_samples():
    plain = [row(n, EDEMA if n % 2 else NOTHING) for n in range(40)]
    probes = [row(n, NOTHING if n % 4 else EDEMA, "identity") for n in range(40)]
    probes += [row(n, NOTHING, "blank") for n in range(40)]
    scores = consistency(plain, probes)
    for name in ("identity", "blank reference: change F1 lost"):
        score = scores[name]
        assert score.low is not None and score.high is not None
        assert score.low < score.value < score.high
    one_patient = [replace(item, patient="p") for item in plain]
    assert consistency(one_patient, probes)["identity"].low is None
    assert consistency(plain, probes) == scores
    assert any(consistency(plain, probes, seed=seed) != scores for seed in range(1, 6))


def test_unknown_and_repeated_samples_are_refused():
    with pytest.raises(ValueError, match="1 of 1 probe answers have no plain answer"):
        pair_probes(PLAIN, [row(9, EDEMA, "swap")])
    with pytest.raises(ValueError, match="1 probe answers are about a sample that has one already"):
        pair_probes(PLAIN, [row(0, EDEMA, "swap"), row(0, EDEMA, "swap")])


def test_f1_lost_is_undefined_where_nothing_is_named():
    plain = [row(number, NOTHING, true=NOTHING) for number in range(4)]
    probed = [row(number, NOTHING, "blank", true=NOTHING) for number in range(4)]
    score = consistency(plain, probed)["blank reference: change F1 lost"]
    assert math.isnan(score.value) and score.low is None
