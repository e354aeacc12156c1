"""Words and word pieces: round trips, unknown words, and the JSON of a run folder."""

import json

import pytest

from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.word_tokenizer import WordPieceTokenizer, WordTokenizer, tokenizer_of

TEXT = "the main image has an additional finding of edema (2.5 cm), right-sided. no change?"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "edema", "no", "##te", ".", "no change"]


def test_words_are_lower_case_and_come_back():
    tokenizer = WordTokenizer.of_texts([TEXT.upper()])
    assert tokenizer.decode([1, *tokenizer.encode(TEXT), 0]) == TEXT
    assert tokenizer.size == 3 + len(set(tokenizer.words))
    assert tokenizer.encode("pneumonia") == [tokenizer.unknown]
    assert tokenizer.decode(tokenizer.encode("no pneumonia")) == "no <unknown>"


def test_equal_words_are_refused():
    with pytest.raises(ValueError, match="not all different"):
        WordTokenizer(["a", "a"])


def test_word_pieces_are_those_of_bert(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    tokenizer = WordPieceTokenizer.of_file(tmp_path)
    assert tokenizer.encode("Note edema. X") == [5, 6, 4, 7, 1]
    assert tokenizer.decode([5, 6, 4, 7, 3]) == "note edema."
    assert (tokenizer.end, tokenizer.size) == (3, 9)


def test_another_file_than_a_bert_vocabulary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no BERT vocabulary"):
        WordPieceTokenizer.of_file(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]")
    with pytest.raises(ValueError, match=r"lacks \[CLS\]"):
        WordPieceTokenizer.of_file(tmp_path / "vocab.txt")


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer(),
        Tokenizer(trimmed_ids([TEXT])),
        WordTokenizer.of_texts([TEXT]),
        WordPieceTokenizer(PIECES),
    ],
)
def test_a_run_folder_gives_the_same_tokenizer(tokenizer):
    again = tokenizer_of(json.loads(json.dumps(tokenizer.spec)))
    assert type(again) is type(tokenizer)
    assert again.encode(TEXT) == tokenizer.encode(TEXT)
    assert (again.end, again.size, again.kept) == (tokenizer.end, tokenizer.size, tokenizer.kept)
