"""Tiers, mimics, quads, tails and difficulty: what each is, and that none gives an answer away."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from lapse.core.grammar import QUESTION_CHANGED, UNCHANGED, invert, parse
from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.patients.acquisition import MAX_ROTATION
from lapse.phantom.patients.catalogue import CUTS, DEAD_BAND, FINDING_SPECS, HELD_OUT_COMBINATIONS
from lapse.phantom.patients.counterfactuals import PAIR_KINDS, pair_kind
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.findings import DiseaseCourse, difference, draw_visits, level_of
from lapse.phantom.patients.mimics import FINE_FINDINGS, MIMIC_OF, MIMICS, tier_specs
from lapse.phantom.patients.ood_splits import OOD_KINDS
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.text.questions import pair_questions

CONFIG = SimulateConfig(
    patients=900, seed=6, size=64, tier="mixed", counterfactual_fraction=0.5, ood_fraction=0.4
)
FINE_COURSE = DiseaseCourse(Difficulty(tier="fine"))


@pytest.fixture(scope="module")
def made():
    return [draw_history(CONFIG, *item) for item in enumerate(assign_cohort(CONFIG))]


@pytest.fixture(scope="module")
def fine():
    """The visits of 700 patients of the fine tier."""
    return [draw_visits(3, patient, 3, course=FINE_COURSE) for patient in range(700)]


def test_coarse_findings_are_whole_and_fine_ones_are_the_four_with_a_mimic(made):
    assert set(FINE_FINDINGS) == {"pneumothorax", "edema", "granuloma", "fracture"}
    for history in made:
        for item in (f for e in history.exposures for f in e.visit.findings):
            assert item.is_fine is (history.role.tier == "fine" and item.name in FINE_FINDINGS)
            if item.is_fine and item.name in ("pneumothorax", "edema"):
                assert item.severity < CUTS[1]  # a cue alone is never called massive


def test_a_fine_look_is_as_often_the_mimic_as_the_finding_in_every_respect(fine):
    counts: dict[str, Counter[str]] = {"finding": Counter(), "mimic": Counter()}
    for visits in fine:
        for one in visits:
            names = {item.name for item in one.findings}
            for item in one.mimics:
                if item.name in MIMIC_OF.values():
                    assert item.like not in names  # mimics stand on negatives
                    counts["mimic"].update({"all": 1, f"{item.like} {item.side} {item.zone}": 1})
            for item in one.findings:
                if item.name in FINE_FINDINGS:
                    counts["finding"].update({"all": 1, f"{item.name} {item.side} {item.zone}": 1})
        for before, after in pairwise(visits):
            for name in FINE_FINDINGS:
                was, now = look(before, name), look(after, name)
                if was == now or "" not in (was, now):
                    continue
                counts[was or now]["begins" if now else "ends"] += 1
    print({key: dict(value) for key, value in counts.items()})
    for key, number in counts["finding"].items():
        other = counts["mimic"][key]
        spread = (number + other) ** 0.5  # of the difference of two equal rates
        assert abs(number - other) < 4.5 * spread, (key, number, other)
    assert counts["finding"]["all"] > 500


def look(visit, name):
    """ "finding", "mimic" or "" for a look of the fine tier."""
    if any(item.name == name for item in visit.findings):
        return "finding"
    has_mimic = any(item.name == MIMIC_OF[name] for item in visit.mimics)
    return "mimic" if has_mimic else ""


def test_a_mimic_that_stays_is_the_same_mimic(fine):
    num_kept = 0
    for visits in fine:
        for before, after in pairwise(visits):
            old = {item.seed: item for item in before.mimics if item.like in FINE_FINDINGS}
            for item in after.mimics:
                if item.seed in old:
                    num_kept += 1
                    assert item == old[item.seed]
    assert num_kept > 200


def test_coarse_mimics_come_with_the_exposure_and_not_with_findings():
    present, absent = Counter(), Counter()
    for patient in range(1500):
        for one in draw_visits(4, patient, 2):
            names = {item.name for item in one.findings}
            seen = {item.name for item in one.mimics}
            for spec in MIMICS:
                (present if spec.like in names else absent)[spec.name, spec.name in seen] += 1
    for spec in MIMICS:
        with_it, without = (group[spec.name, True] for group in (present, absent))
        total = group_total(present, spec.name), group_total(absent, spec.name)
        rates = with_it / total[0], without / total[1]
        spread = (spec.rate / total[0] + spec.rate / total[1]) ** 0.5
        assert abs(rates[0] - rates[1]) < 3.5 * spread, (spec.name, rates)
    quiet = DiseaseCourse(Difficulty(nuisance=0.0))
    assert not any(one.mimics for one in draw_visits(4, 0, 8, course=quiet))


def group_total(group, name):
    return group[name, True] + group[name, False]


def test_no_report_question_or_answer_names_a_mimic(made):
    words = {spec.name for spec in MIMICS}
    for history in made[:250]:
        texts = []
        for exposure in history.exposures:
            texts.append(study_report(CONFIG, history, exposure.visit, None).text.lower())
        for reference, main in history.pairs:
            for item in pair_questions(reference.visit, main.visit, "AP", seed=6):
                texts.append(f"{item.question} {item.answer}")
        assert not any(word in " ".join(text.split()) for text in texts for word in words)


def test_roles_are_shares_of_the_test_part(made):
    roles = [history.role for history in made]
    tested = [role for role in roles if role.split == "test"]
    assert not any(role.is_counterfactual or role.ood for role in roles if role.split != "test")
    assert sum(role.is_counterfactual for role in tested) == int(0.5 * len(tested))
    tails = Counter(role.ood for role in tested if role.ood)
    assert set(tails) == set(OOD_KINDS) and set(tails.values()) == {int(0.1 * len(tested))}
    assert not any(role.is_counterfactual and role.ood for role in tested)
    plain = assign_cohort(replace(CONFIG, counterfactual_fraction=0.0, ood_fraction=0.0))
    assert [role.split for role in plain] == [role.split for role in roles]
    for before, after, history in zip(plain, roles, made, strict=True):
        if before == after:
            assert draw_history(
                replace(CONFIG, counterfactual_fraction=0.0, ood_fraction=0.0),
                history.patient,
                after,
            ) == (history)


def test_a_quad_is_two_states_by_two_acquisitions(made):
    quads = [history for history in made if history.exposures[0].cell]
    assert len(quads) > 50
    answers = Counter()
    for history in quads:
        places = [item.cell for item in history.exposures]
        assert [place[1] for place in places] == ["1", "1", "2", "2"]
        assert {place[0] for place in places[:2]} == {place[0] for place in places[2:]} == {*"AB"}
        by_place = {item.cell: item for item in history.exposures}
        for half in "12":
            one, two = by_place[f"A{half}"], by_place[f"B{half}"]
            assert one.acquisition == two.acquisition
            assert one.visit.devices == two.visit.devices
        assert by_place["A1"].acquisition != by_place["A2"].acquisition
        for state in "AB":
            assert by_place[f"{state}1"].visit.findings == by_place[f"{state}2"].visit.findings
        change = difference(by_place["A1"].visit, by_place["B2"].visit)
        assert change and difference(by_place["B1"].visit, by_place["A2"].visit) == invert(change)
        kinds = Counter()
        for reference, main in history.pairs:
            questions = pair_questions(reference.visit, main.visit, "PA", seed=6)
            (said,) = [item.answer for item in questions if item.question == QUESTION_CHANGED]
            kind = pair_kind(reference.cell, main.cell)
            kinds[kind] += 1
            assert (said == UNCHANGED) is (kind == "nuisance")
            if kind != "state":
                answers[main.cell[0], bool(parse(said).changes)] += 1
        assert kinds == {"nuisance": 2, "state": 2, "both": 2} and set(kinds) < set(PAIR_KINDS)
    # the main image's state, and so all that it shows, says nothing about a change
    assert len(set(answers.values())) == 1, answers


def test_a_quad_of_the_fine_tier_differs_by_finding_against_mimic(made):
    num_fine = 0
    for history in made:
        if history.role.tier == "fine" and history.role.is_counterfactual:
            by_place = {item.cell: item.visit for item in history.exposures}
            one, two = by_place["A1"], by_place["B1"]
            (change,) = difference(one, two)
            assert change.kind == "missing" and change.finding in FINE_FINDINGS
            (there,) = set(one.findings) - set(two.findings)
            (instead,) = set(two.mimics) - set(one.mimics)
            assert (there.side, there.zone, there.seed) == (
                instead.side,
                instead.zone,
                instead.seed,
            )
            assert instead.like == there.name and not set(one.mimics) - set(two.mimics)
            num_fine += 1
    assert num_fine > 20


def test_tails_are_unseen_elsewhere(made):
    train = [history for history in made if history.role.split == "train"]
    tails = {tail: [h for h in made if h.role.ood == tail] for tail in OOD_KINDS}
    people = [history.person for history in train]
    for history in tails["anatomy"]:
        person = history.person
        traits = [
            (name, getattr(person, name))
            for name in ("bmi", "scoliosis", "width", "height")
            if getattr(person, name) != getattr(draw_patient(6, person.index), name)
        ]
        assert traits
        for name, value in traits:
            usual = [getattr(other, name) for other in people]
            assert value > max(usual) or value < min(usual), name
    turns = [abs(e.acquisition.rotation) for h in train for e in h.exposures]
    assert max(turns) <= MAX_ROTATION
    for history in tails["acquisition"]:
        assert all(abs(e.acquisition.rotation) > MAX_ROTATION for e in history.exposures)
    for history in made:
        sets = [{item.name for item in e.visit.findings} for e in history.exposures]
        together = [s for s in sets if any(set(pair) <= s for pair in HELD_OUT_COMBINATIONS)]
        if history.role.ood == "combination" and history.role.tier == "coarse":
            assert len(together) >= len(sets) - 1
        elif history.role.ood != "combination":
            assert not together
    seen = {text for history in train for text in sentences(history)}
    for history in tails["paraphrase"]:
        own = sentences(history)
        assert own and not own & seen


def sentences(history):
    """The sentences about findings, said and denied, of a patient's reports."""
    reports = [study_report(CONFIG, history, e.visit, None) for e in history.exposures]
    return {item.text for one in reports for item in one.statements if item.finding or item.denied}


@pytest.mark.parametrize("subtlety", [0.0, 0.5, 1.0])
def test_subtlety_makes_findings_fainter_and_keeps_the_words_true(subtlety):
    course = DiseaseCourse(Difficulty(subtlety=subtlety))
    found = [
        item
        for patient in range(300)
        for one in draw_visits(3, patient, 3, course=course)
        for item in one.findings
    ]
    mean = sum(item.severity for item in found) / len(found)
    low, high = {0.0: (0.4, 0.6), 0.5: (0.3, 0.4), 1.0: (0.2, 0.31)}[subtlety]
    assert low < mean < high
    cuts = {spec.name: CUTS[: len(spec.scale) - 1] for spec in FINDING_SPECS}
    for item in found:
        distance = min((abs(item.severity - cut) for cut in cuts[item.name]), default=1.0)
        assert distance >= DEAD_BAND / 2 - 1e-9
        assert level_of(item.name, item.severity) in [
            grade.word for spec in FINDING_SPECS if spec.name == item.name for grade in spec.scale
        ]
    assert len(found) > 500


def test_both_tiers_have_the_same_catalogue():
    assert [spec.name for spec in tier_specs("fine")] == [spec.name for spec in FINDING_SPECS]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tier": "corse"}, "did you mean 'coarse'"),
        ({"subtlety": 1.5}, "subtlety 1.5: choose between 0 and 1"),
        ({"counterfactual_fraction": -0.1}, "counterfactual_fraction -0.1"),
        ({"counterfactual_fraction": 0.7, "ood_fraction": 0.7}, "more than all test patients"),
        ({"prevalence": -1.0}, "prevalence -1.0 is negative"),
    ],
)
def test_wrong_options_name_the_limit(options, message):
    with pytest.raises(ValueError, match=message):
        SimulateConfig(**{"patients": 2, "seed": 0, "size": 96, **options})
