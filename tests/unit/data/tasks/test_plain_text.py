"""Samples without punctuation."""

from lapse.core.types import Sample
from lapse.data.tasks.plain_text import MAX_WORDS, PlainText, plain_text


class Fixed:
    name, records = "fixed", "studies"

    def samples(self, record):
        for number, answer in enumerate(record):
            yield Sample(f"fixed/{number}", "fixed", ("a",), "p", "what changed?", "", answer)


def test_questions_and_answers_lose_their_punctuation():
    samples = list(PlainText(Fixed()).samples([" no change: as before.", " ...", " x, y"]))
    assert [sample.answer for sample in samples] == [" no change as before", " x y"]
    assert {sample.prefix for sample in samples} == {"what changed"}
    assert PlainText(Fixed()).name == "fixed"


def test_long_texts_are_cut_after_a_hundred_words():
    assert plain_text("word, " * 150) == " ".join(["word"] * MAX_WORDS)
