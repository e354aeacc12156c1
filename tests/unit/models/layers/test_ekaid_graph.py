"""EKAID's relation graphs, against loops over nodes and heads."""

import pytest
import torch

from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.layers.ekaid_graph import (
    BACKWARD,
    GRAPHS,
    LabelBias,
    NeighbourAttention,
    Relations,
)

WIDTH, HEADS, NODES, BATCH = 12, 3, 5, 2
CONFIG = EkaidPublishedConfig(width=WIDTH, heads=HEADS, graph_dropout=0.0)


def relations(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Relations(
        torch.randn(BATCH, WIDTH, generator=generator),
        torch.randint(0, 3, (BATCH, NODES, NODES), generator=generator),
        torch.randint(0, 12, (BATCH, NODES, NODES), generator=generator),
        torch.randn(BATCH, NODES, NODES, 64, generator=generator),
    )


def graph(kind):
    torch.manual_seed(3)
    made = GRAPHS[kind](CONFIG).double()
    for bias in (made.semantic_bias, made.spatial_bias):
        torch.nn.init.normal_(bias.values)
    return made


def nodes():
    return torch.randn(BATCH, NODES, WIDTH, generator=torch.Generator().manual_seed(5)).double()


def plain_message(attention, states, bias):
    """n_i by loops: states [N, D], bias [H, N, N]."""
    part = WIDTH // HEADS
    query, key = attention.query(states), attention.key(states)
    rows = []
    for i in range(NODES):
        heard = []
        for head in range(HEADS):
            columns = slice(head * part, (head + 1) * part)
            scores = torch.stack(
                [query[i, columns] @ key[j, columns] / part**0.5 + bias[head, i, j]
                 for j in range(NODES)]
            )  # fmt: skip
            heard.append(sum(w * states[j] for j, w in enumerate(scores.softmax(0))))
        rows.append(attention.out(torch.cat(heard)))
    return torch.stack(rows)


def plain_biases(made, given, row):
    def by_label(bias, labels):
        return torch.stack(
            [torch.stack([bias.values[k] if k else torch.tensor(-9e15).double() for k in line])
             for line in labels]
        ).expand(HEADS, -1, -1)  # fmt: skip

    geometry = made.geometry_bias.linear(given.geometry[row].double()).relu()
    return [
        by_label(made.semantic_bias, given.semantic[row]),
        by_label(made.spatial_bias, given.spatial[row]),
        torch.log(torch.maximum(geometry, torch.tensor(1e-6))).permute(2, 0, 1),
    ]


def states_of(relation, x, question):
    return torch.stack([relation.state(torch.cat([node, question])) for node in x])


def plain_chain(made, x, given, row):
    question = given.question[row].double()
    steps = zip((made.semantic, made.spatial, made.implicit), plain_biases(made, given, row),
                strict=True)  # fmt: skip
    for relation, bias in steps:
        states = states_of(relation, x, question)
        backward = plain_message(relation.directions[BACKWARD], states, bias.transpose(1, 2))
        x = x + torch.relu(2 * backward)
    return x


def plain_parallel(made, x, given, row):
    question = given.question[row].double()
    total = 0
    for relation, bias, weight in zip(
        (made.semantic, made.spatial, made.implicit), plain_biases(made, given, row),
        (0.333, 0.333, 0.334), strict=True,
    ):  # fmt: skip
        states = states_of(relation, x, question)
        forward = plain_message(relation.directions["forwards"], states, bias)
        backward = plain_message(relation.directions[BACKWARD], states, bias.transpose(1, 2))
        total = total + weight * (x + torch.relu(states + forward + backward))
    return total


@pytest.mark.parametrize(
    ("kind", "plain"), [("as_run", plain_chain), ("as_described", plain_parallel)]
)
@torch.no_grad()
def test_a_graph_equals_its_loop(kind, plain):
    made, given, x = graph(kind), relations(), nodes()
    question = given.question.double()
    moved = Relations(question, given.semantic, given.spatial, given.geometry.double())
    result = made(x, moved)
    for row in range(BATCH):
        torch.testing.assert_close(result[row], plain(made, x[row], given, row))


@torch.no_grad()
def test_a_node_without_edges_attends_to_all_nodes_evenly():
    torch.manual_seed(0)
    attention, x = NeighbourAttention(CONFIG), torch.randn(1, NODES, WIDTH)
    message = attention(x, LabelBias(3)(torch.zeros(1, NODES, NODES, dtype=torch.long)))
    mean = attention.out(x.mean(1).repeat(1, HEADS))
    torch.testing.assert_close(message, mean[:, None].expand_as(message), rtol=1e-4, atol=1e-5)


def test_the_chain_has_no_forward_direction():
    names = [name for name, _ in graph("as_run").named_parameters()]
    assert any("backwards" in name for name in names)
    assert not any("forwards" in name for name in names)
    assert any("forwards" in name for name, _ in graph("as_described").named_parameters())
