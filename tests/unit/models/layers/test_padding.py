"""Prompts and answers of a batch, apart; padding on the right."""

import pytest

from lapse.models.layers.padding import answer_mask, answers_of, pad_tokens, prompts_of
from vqa_systems import TOKENIZER, batch, samples


def test_prompts_and_answers_are_the_tokens_of_their_texts():
    rows = batch()
    prompts, answers, mask = prompts_of(rows), answers_of(rows), answer_mask(rows)
    for row, sample in enumerate(samples()):
        prompt = prompts.tokens[row, : prompts.lengths[row]].tolist()
        answer = answers.tokens[row, : answers.lengths[row]].tolist()
        assert prompt == TOKENIZER.encode(sample.prefix)
        assert answer == [*TOKENIZER.encode(sample.answer), TOKENIZER.end]
        assert rows.tokens[row][mask[row]].tolist() == answer
        assert int(answers.is_used[row].sum()) == len(answer)


def test_texts_are_padded_on_the_right():
    padded = pad_tokens([[5, 6, 7], [], [8]], 0, "cpu")
    assert padded.tokens.tolist() == [[5, 6, 7], [0, 0, 0], [8, 0, 0]]
    assert padded.lengths.tolist() == [3, 0, 1]
    assert padded.is_used.tolist() == [[True] * 3, [False] * 3, [True, False, False]]


def test_no_text_is_refused():
    with pytest.raises(ValueError, match="at least one text"):
        pad_tokens([], 0, "cpu")
