"""Malformed files are refused or counted, and no mutation stops a reader.

The long run is `python experiments/fuzz.py`.
"""

import pytest

from malformed import Kind, kinds, mutation, valid_files
from reader_worker import FILE_NAMES, Runner

pytest.importorskip("gdcm")
SEEDS, MUTATIONS = 2, 500


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with Runner(tmp_path_factory.mktemp("cases")) as outcome:
        yield outcome


def test_valid_files_are_read(runner):
    words = {name: runner.read(reader, data) for name, (reader, data) in valid_files().items()}
    assert {name: outcome for name, outcome in words.items() if outcome.word != "value"} == {}


def test_every_kind_has_its_expected_outcome(runner):
    wrong, done = [], 0
    for kind in kinds():
        for seed in range(SEEDS):
            outcome = runner.read(kind.reader, kind.case(seed))
            done += 1
            if not kind.is_right(outcome.word):
                wrong.append((kind.name, seed, outcome))
    print(f"{len(kinds())} kinds, {done - len(wrong)}/{done}")
    assert len(kinds()) >= 45 and not wrong, wrong


def test_no_mutation_stops_a_reader(runner):
    bad, words = [], set()
    for number in range(MUTATIONS):
        name, reader, data = mutation(number, slow_fraction=0.1)
        outcome = runner.read(reader, data)
        words.add(outcome.word.partition(" ")[0])
        if not outcome.is_allowed:
            bad.append((number, name, outcome))
    print(f"mutations {MUTATIONS - len(bad)}/{MUTATIONS}")
    assert not bad, bad
    assert words == {"value", "refused", "counted"}


def test_cases_depend_on_their_seed_only():
    for kind in kinds()[::9]:
        assert kind.case(3) == kind.case(3)
    assert mutation(7) == mutation(7)
    assert len({mutation(number)[2] for number in range(40)}) > 35


def test_faults_of_a_reader_are_distinguished(tmp_path):
    """Crashes, hangs, wrong exceptions and memory are distinguished, and the next file is read."""
    faults = {
        "fault: dies": "died -11",
        "fault: hangs": "hung",
        "fault: escapes": "escaped KeyError",
        "fault: hides that memory ran out": "memory",
        "fault: takes too much memory": "escaped MemoryError",
    }
    with Runner(tmp_path, seconds=0.7) as runner:
        for reader, word in faults.items():
            FILE_NAMES[reader] = "fault"
            try:
                outcome = runner.read(reader, b"")
            finally:
                del FILE_NAMES[reader]
            assert outcome.word == word and not outcome.is_allowed
            _, data = valid_files()["table"]
            assert runner.read("table", data).word == "value"


def test_unexpected_outcomes_are_detected():
    kind = Kind("k", "image", lambda rng: b"", "refused", ("damaged",))
    assert kind.is_right("refused damaged")
    assert not kind.is_right("value") and not kind.is_right("refused truncated")
    assert not Kind("k", "graph", lambda rng: b"", "counted").is_right("value")
    assert Kind("k", "image", lambda rng: b"", "any").is_right("value")
    assert not Kind("k", "image", lambda rng: b"", "any").is_right("hung")
