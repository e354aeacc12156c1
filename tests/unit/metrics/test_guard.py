"""Guarded answers: the laws hold for any readings; each rule alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lapse.core.changes import Change, contradictions, invert
from lapse.core.types import Candidate, Prediction
from lapse.metrics.guard import (
    NULL_REASON,
    SPLIT_REASON,
    UNDECIDED,
    Evidence,
    GuardRule,
    Reading,
    combine,
    decide,
    reading_of,
)
from lapse.metrics.guard_scores import choose_rule, evidence_of, guarded_scores
from random_answers import random_changes

EDEMA, NO_EDEMA = Change("edema", "added"), Change("edema", "missing")
AIR = Change("pneumothorax", "missing")
LEVEL = Change("atelectasis", "level", "mild", "severe")
RULE = GuardRule(threshold=0.5, null_limit=0.5)
NUM_PAIRS = 10_000


def reading(text, *others):
    """One hypothesis, or several of equal probability."""
    return reading_of([Candidate(item, -1.0, 3) for item in (text, *others)])


def added(name):
    return f"the main image has an additional finding of {name} than the reference image. "


NOTHING = "nothing has changed."


def random_readings(draw, common, count):
    """Readings that mostly name the common changes, each with a share."""
    readings = []
    for _ in range(count):
        extra = random_changes(draw, 1)
        shares = {change: float(draw.random() ** 0.3) for change in sorted(common | extra)}
        named = frozenset(change for change, share in shares.items() if share > 0.4)
        readings.append(Reading(shares, named, not named))
    return readings


def both_orders(draw):
    """Evidence of (a, b) and of (b, a) by one random function of ordered pairs."""
    common = random_changes(draw)
    forward = random_readings(draw, common, 3)
    backward = random_readings(draw, invert(common), 3)
    null = random_readings(draw, frozenset(), 1)
    first = combine([*forward, *(item.inverse() for item in backward)], null)
    second = combine([*backward, *(item.inverse() for item in forward)], null)
    return first, second, (forward[0], backward[0])


def test_the_swap_law_holds_for_any_readings_and_fails_without_the_guard():
    draw = np.random.default_rng(8)
    kept = agreed = stated = contradictory = 0
    for _ in range(NUM_PAIRS):
        first, second, (forward, backward) = both_orders(draw)
        answer, swapped = decide(first, RULE), decide(second, RULE)
        kept += (
            answer.inverse() == swapped
            and answer.text == swapped.inverse().text
            and answer.shares == swapped.inverse().shares
        )
        contradictory += bool(contradictions(answer.stated))
        stated += bool(answer.stated)
        agreed += invert(forward.named) == backward.named  # the answers of beam search alone
    print(f"swap law {kept}/{NUM_PAIRS}, stated {stated}, unguarded {agreed}/{NUM_PAIRS}")
    assert kept == NUM_PAIRS and contradictory == 0
    assert stated > NUM_PAIRS / 10  # the law is not kept by saying nothing
    assert agreed < NUM_PAIRS / 2


def test_shares_are_fractions_of_the_beam():
    beam = [
        Candidate(added("edema"), math.log(0.06), 3),
        Candidate(NOTHING, math.log(0.02), 3),
        Candidate(added("edema, and hernia"), math.log(0.02), 3),
    ]
    item = reading_of(beam)
    assert item.shares[EDEMA] == pytest.approx(0.8)
    assert item.shares[Change("hernia", "added")] == pytest.approx(0.2)
    assert item.named == {EDEMA} and not item.is_unchanged
    assert reading(NOTHING).is_unchanged and not reading("no idea").is_unchanged
    tiny = [Candidate(added("edema"), -2000.0, 3), Candidate(NOTHING, -2000.0, 3)]
    assert reading_of(tiny).shares[EDEMA] == pytest.approx(0.5)  # e^-2000 is 0 as a float


@pytest.mark.parametrize(
    ("readings", "null", "text", "unsure", "reasons"),
    [
        ([added("edema")] * 2, [], added("edema").strip(), (), ()),
        ([NOTHING, NOTHING], [], NOTHING, (), ()),
        ([added("edema"), NOTHING], [], UNDECIDED, (EDEMA,), (SPLIT_REASON,)),
        ([added("edema")] * 2, [added("edema")], UNDECIDED, (EDEMA,), (NULL_REASON + "edema",)),
        ([NOTHING] * 2, [added("edema")], UNDECIDED, (), (NULL_REASON + "edema",)),
        ([NOTHING, "no idea"], [], UNDECIDED, (), (SPLIT_REASON,)),
        (
            [added("edema") + "the main image is missing the finding of edema. "] * 2,
            [],
            UNDECIDED,
            (EDEMA, NO_EDEMA),
            (SPLIT_REASON,),
        ),
    ],
)
def test_each_rule(readings, null, text, unsure, reasons):
    evidence = combine([reading(item) for item in readings], [reading(item) for item in null])
    answer = decide(evidence, RULE)
    assert (answer.text, answer.unsure) == (text, unsure)
    assert answer.reasons[: len(reasons)] == reasons
    if text != UNDECIDED:
        assert answer.reasons == ()


def test_a_disturbed_finding_does_not_touch_the_others():
    text = added("edema, and hernia")
    answer = decide(combine([reading(text)], [reading(added("hernia"))]), RULE)
    assert answer.stated == (EDEMA,) and answer.status == "changed"
    assert answer.unsure == (Change("hernia", "added"),)
    assert answer.reasons == (NULL_REASON + "hernia",)


def test_a_disturbed_finding_that_no_reading_names_is_not_a_reason_for_a_stated_change():
    readings, null = [reading(added("edema"))] * 2, [reading(added("hernia"))]
    answer = decide(combine(readings, null), RULE)
    assert answer.stated == (EDEMA,) and answer.reasons == ()
    answer = decide(combine([reading(NOTHING)] * 2, null), RULE)
    assert answer.text == UNDECIDED and answer.reasons == (NULL_REASON + "hernia",)


def test_a_strict_rule_states_nothing_where_any_null_test_fails():
    evidence = combine([reading(added("edema"))] * 2, [reading(added("hernia"))])
    strict = replace(RULE, is_strict=True)
    answer = decide(evidence, strict)
    assert answer.text == UNDECIDED and answer.unsure == (EDEMA,)
    assert answer.reasons == (NULL_REASON + "hernia",)
    assert decide(evidence.inverse(), strict) == answer.inverse()
    assert decide(combine([reading(added("edema"))] * 2), strict).stated == (EDEMA,)


def prediction(number, evidence, true="", **values):
    return Prediction(
        f"diff_vqa/{number}",
        "diff_vqa",
        values.get("plain", NOTHING),
        (true or NOTHING,),
        f"p{number}",
        confidence=evidence.confidence(),
        guarded=decide(evidence, RULE).text,
    )


def test_evidence_survives_a_predictions_file():
    evidence = Evidence({EDEMA: 0.9, LEVEL: 0.25}, {"edema": 0.125}, False)
    assert evidence_of(prediction(1, evidence)) == evidence
    with pytest.raises(ValueError, match="--guarded"):
        evidence_of(Prediction("x", "diff_vqa", NOTHING, (NOTHING,)))


def test_the_smallest_threshold_with_the_precision_is_chosen():
    true = added("edema")
    right = [Evidence({EDEMA: 0.3 + number / 20}, {}, False) for number in range(12)]
    wrong = [Evidence({AIR: 0.5}, {}, False)] * 3
    predictions = [prediction(n, item, true) for n, item in enumerate((*right, *wrong))]
    rule = choose_rule(predictions, 0.9)
    assert rule.threshold == 0.5 and rule.precision == 1.0  # .5 is not above .5
    assert rule.recall == pytest.approx(7 / 15) and rule.answers == rule.patients == 15
    loose = choose_rule(predictions, 0.6)
    error = (loose.precision * (1 - loose.precision) / 15) ** 0.5
    assert loose.threshold < 0.5 and 0.6 + error <= loose.precision < 1.0
    silent = choose_rule([prediction(n, item, NOTHING) for n, item in enumerate(wrong)], 0.9)
    assert silent.threshold == 1.0 and silent.recall == 0.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_rule(predictions, 1.0)


def test_scores_of_guarded_and_unguarded_answers():
    true = added("edema")
    sure, unsure = Evidence({EDEMA: 0.9}, {}, False), Evidence({AIR: 0.1}, {}, False)
    predictions = [
        prediction(1, sure, true, plain=true),
        prediction(2, unsure, true, plain=added("hernia")),
        prediction(3, Evidence({}, {}, True), NOTHING, plain=added("hernia")),
    ]
    probes = [
        Prediction("diff_vqa/1#swap", "diff_vqa", "?", ("?",), "p1", guarded=NOTHING),
        Prediction("diff_vqa/2#swap", "diff_vqa", "?", ("?",), "p2", guarded=UNDECIDED),
        Prediction("diff_vqa/3#identity", "diff_vqa", "?", ("?",), "p3", guarded=NOTHING),
    ]
    scores = guarded_scores(predictions, probes)
    values = {name: score.value for name, score in scores.items()}
    assert values["change precision"] == 1.0 and values["change recall"] == 0.5
    assert values["change precision, unguarded"] == pytest.approx(1 / 3)
    assert values["unchanged named as changed"] == 0.0
    assert values["unchanged named as changed, unguarded"] == 1.0
    assert values["undecided rate"] == pytest.approx(1 / 3)
    assert values["swap law"] == 0.5 and values["identity"] == 1.0
    assert guarded_scores([Prediction("x", "diff_vqa", NOTHING, (NOTHING,))]) == {}
    with pytest.raises(ValueError, match="1 of 4 predictions have no guarded answer"):
        guarded_scores([*predictions, Prediction("x", "diff_vqa", NOTHING, (NOTHING,))])
