"""The token table: GPT-2 ids outside, rows inside, one weight for reading and writing."""

import pytest
import torch
import torch.nn.functional as F

from lapse.core.tokenizer import END, SIZE, Tokenizer, trimmed_ids
from lapse.models.layers.token_embedding import TokenEmbedding

KEPT = (3, 7, 11, END)


@pytest.fixture
def table() -> TokenEmbedding:
    torch.manual_seed(0)
    return TokenEmbedding(8, KEPT)


def test_rows_and_ids_are_inverse(table):
    ids = torch.tensor([[11, END], [3, 7]])
    assert table.rows(ids).tolist() == [[2, 3], [0, 1]]
    assert table.ids(table.rows(ids).flatten().tolist()) == ids.flatten().tolist()
    assert table.ids([]) == []


def test_a_full_table_has_a_row_for_every_token():
    table = TokenEmbedding(2)
    ids = torch.tensor([0, 15496, END])
    assert table.num_rows == SIZE
    assert table.rows(ids).tolist() == table.ids(ids.tolist()) == ids.tolist()


def test_a_token_that_is_not_kept_is_named(table):
    with pytest.raises(ValueError, match="token 5 is not among the 4 kept ones"):
        table.rows(torch.tensor([3, 5, 7]))


@pytest.mark.parametrize(
    ("kept", "words"), [((), "at least one"), ((7, 3), "sorted"), ((3, 3), "each once")]
)
def test_kept_ids_are_sorted_and_unique(kept, words):
    with pytest.raises(ValueError, match=words):
        TokenEmbedding(8, kept)


def test_kept_ids_are_gpt2_ids():
    with pytest.raises(ValueError, match="from 3 to 50257, GPT-2's from 0 to 50256"):
        TokenEmbedding(8, (3, SIZE))


def test_reading_and_writing_share_one_weight(table):
    rows = torch.tensor([1, 3])
    hidden = table.embed(rows)
    assert torch.equal(hidden, table.weight[rows])
    assert torch.allclose(table.logits(hidden), hidden @ table.weight.T)
    assert [name for name, _ in table.named_parameters()] == ["weight"]


def test_the_mask_token_stands_outside_the_vocabulary():
    table = TokenEmbedding(8, KEPT, with_mask=True)
    assert table.mask.shape == (8,)
    assert table.logits(torch.zeros(1, 8)).shape == (1, len(KEPT))


def test_a_trimmed_loss_is_the_full_loss_restricted_to_the_kept_tokens():
    text = "There is no edema. [61, 66, 95, 110]"
    tokenizer = Tokenizer(trimmed_ids([text]))
    torch.manual_seed(0)
    full, small = TokenEmbedding(16), TokenEmbedding(16, tokenizer.kept)
    kept = list(tokenizer.kept)
    small.load_state_dict({"weight": full.weight.detach()[kept]})
    ids = torch.tensor(tokenizer.encode(text))
    hidden = torch.randn(len(ids), 16)
    others = torch.ones(SIZE, dtype=torch.bool).index_fill(0, torch.tensor(kept), False)
    restricted = full.logits(hidden).masked_fill(others, -torch.inf)
    loss = F.cross_entropy(small.logits(hidden), small.rows(ids))
    assert torch.allclose(loss, F.cross_entropy(restricted, full.rows(ids)), atol=1e-6)
    assert loss < F.cross_entropy(full.logits(hidden), ids)
