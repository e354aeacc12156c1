"""Every malformed kind is refused or counted, and no mutation stops a reader.

The long run is `python experiments/fuzz.py`.
"""

import pytest

from malformed import Kind, kinds, mutation, sound
from reader_worker import PLACES, Runner

pytest.importorskip("gdcm")
SEEDS, MUTATIONS = 2, 500


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with Runner(tmp_path_factory.mktemp("cases")) as found:
        yield found


def test_sound_files_are_read(runner):
    words = {name: runner.read(reader, data) for name, (reader, data) in sound().items()}
    assert {name: found for name, found in words.items() if found.word != "value"} == {}


def test_every_kind_meets_what_it_declares(runner):
    wrong, done = [], 0
    for kind in kinds():
        for seed in range(SEEDS):
            found = runner.read(kind.reader, kind.case(seed))
            done += 1
            if not kind.is_right(found.word):
                wrong.append((kind.name, seed, found))
    print(f"{len(kinds())} kinds, {done - len(wrong)}/{done}")
    assert len(kinds()) >= 45 and not wrong, wrong


def test_no_mutation_stops_a_reader(runner):
    bad, words = [], set()
    for number in range(MUTATIONS):
        name, reader, data = mutation(number, slow_share=0.1)
        found = runner.read(reader, data)
        words.add(found.word.partition(" ")[0])
        if not found.is_allowed:
            bad.append((number, name, found))
    print(f"mutations {MUTATIONS - len(bad)}/{MUTATIONS}")
    assert not bad, bad
    assert words == {"value", "refused", "counted"}


def test_cases_depend_on_their_seed_alone():
    for kind in kinds()[::9]:
        assert kind.case(3) == kind.case(3)
    assert mutation(7) == mutation(7)
    assert len({mutation(number)[2] for number in range(40)}) > 35


def test_a_reader_without_guards_would_be_found(tmp_path):
    """Deaths, hangs, escapes and memory are each told apart, and the next file is read."""
    faults = {
        "fault: dies": "died -11",
        "fault: hangs": "hung",
        "fault: escapes": "escaped KeyError",
        "fault: hides that memory ran out": "memory",
        "fault: takes too much memory": "escaped MemoryError",
    }
    with Runner(tmp_path, seconds=0.7) as runner:
        for reader, word in faults.items():
            PLACES[reader] = "fault"
            try:
                found = runner.read(reader, b"")
            finally:
                del PLACES[reader]
            assert found.word == word and not found.is_allowed
            _, data = sound()["table"]
            assert runner.read("table", data).word == "value"


def test_a_silent_acceptance_is_found():
    kind = Kind("k", "image", lambda rng: b"", "refused", ("damaged",))
    assert kind.is_right("refused damaged")
    assert not kind.is_right("value") and not kind.is_right("refused truncated")
    assert not Kind("k", "graph", lambda rng: b"", "counted").is_right("value")
    assert Kind("k", "image", lambda rng: b"", "any").is_right("value")
    assert not Kind("k", "image", lambda rng: b"", "any").is_right("hung")
