"""The packaged GPT-2 vocabulary against known encodings, and boxes as integers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.core.tokenizer import (
    Tokenizer,
    bins_box,
    box_bins,
    box_text,
    find_box,
    trimmed_ids,
    without_box,
)
from lapse.core.types import Box

# Published encodings of GPT-2 (OpenAI's encoder; "Hello world" is in the README of tiktoken's
# and transformers' documentation), and the integers that formats.md names as two tokens.
KNOWN = {
    "Hello world": [15496, 995],
    "Hello, my dog is cute": [15496, 11, 616, 3290, 318, 13779],
    " [61, 66, 95, 110]": [685, 5333, 11, 7930, 11, 6957, 11, 9796, 60],
    "": [],
}


@pytest.mark.parametrize(("text", "ids"), KNOWN.items())
def test_known_encodings(text, ids):
    assert Tokenizer().encode(text) == ids


def test_equal_to_the_slow_tokenizer_of_transformers():
    from transformers.models.gpt2.tokenization_gpt2 import GPT2Tokenizer

    from lapse.core.tokenizer import _gpt2

    fast = _gpt2()
    vocabulary = fast.get_vocab()
    merges = [tuple(pair) for pair in __import__("json").loads(fast.to_str())["model"]["merges"]]
    reference = GPT2Tokenizer(vocab=vocabulary, merges=merges)
    for text in ("No pleural effusion.", " the level of edema  has\nchanged", "naïve 2.5 cm ___"):
        assert Tokenizer().encode(text) == reference.encode(text)


def test_some_coordinates_are_two_tokens():
    lengths = {n: len(Tokenizer().encode(f" {n}")) for n in range(448)}
    assert [n for n, length in lengths.items() if length > 1][:3] == [362, 381, 382]
    assert sum(length > 1 for length in lengths.values()) == 16


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_round_trip_with_full_and_trimmed_vocabulary(text):
    trimmed = Tokenizer(trimmed_ids(["the main image"]))
    for tokenizer in (Tokenizer(), trimmed):
        ids = tokenizer.encode(text)
        assert tokenizer.decode([*ids, tokenizer.end]) == text
    assert set(trimmed.encode(text)) <= set(trimmed.kept)


def test_a_trimmed_vocabulary_keeps_its_words():
    trimmed = Tokenizer(trimmed_ids(["the main image"]))
    assert trimmed.encode("the main image") == Tokenizer().encode("the main image")
    with pytest.raises(ValueError, match="byte tokens"):
        Tokenizer([1, 2, 3])


def test_box_bins_and_back():
    box = Box(0.0, 0.25, 1.0, 0.5)
    assert box_text(box, 448) == "[0, 112, 447, 224]"
    assert bins_box((0, 112, 447, 224), 448).iou(box) > 0.99
    assert box_bins(Box(0.9999, 0.2, 1.0, 0.2001), 128) == (126, 25, 127, 26)
    with pytest.raises(ValueError, match=r"0 \.\. 127"):
        bins_box((0, 0, 128, 5), 128)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("There is no edema. [61, 66, 95, 110]", (61, 66, 95, 110)),
        ("[1,2,3,4] then [5, 6, 7, 8]", (5, 6, 7, 8)),
        ("[61, 66, 95", None),
        ("[5, 5, 5, 9]", None),
        ("[1.5, 2, 3, 4]", None),
        ("", None),
    ],
)
def test_find_box(text, box):
    assert find_box(text) == box


def test_without_box_returns_the_phrase():
    assert without_box(" No edema. [1, 2, 3, 4]") == "No edema."
