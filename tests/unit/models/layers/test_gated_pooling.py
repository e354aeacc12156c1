"""EKAID's pooling, against a loop over nodes."""

import torch

from lapse.models.layers.gated_pooling import GatedPooling

WIDTH, NODES = 6, 4


@torch.no_grad()
def test_pooling_equals_a_loop():
    torch.manual_seed(0)
    pooling = GatedPooling(WIDTH, 5, 0.0)
    main, reference = torch.randn(2, 3, NODES, WIDTH)
    pooled = pooling(main, reference)
    for row in range(3):
        sums = []
        for index, image in enumerate((main, reference)):
            total = torch.zeros(WIDTH)
            for node in range(NODES):
                x, d = image[row, node], reference[row, node] - main[row, node]
                gate = torch.sigmoid(pooling.gate_difference(d) + pooling.gate_image(x))
                content = torch.tanh(pooling.content_difference(d) + pooling.content_image(x))
                hidden = torch.relu(pooling.hidden(torch.cat([x, d, gate * content])))
                weight = torch.sigmoid(pooling.weight(hidden))[0]
                torch.testing.assert_close(pooled.weights[row, index, node], weight)
                total = total + weight * x
            sums.append(total)
        expected = torch.stack([sums[0], sums[1] - sums[0], sums[1]])
        torch.testing.assert_close(pooled.vectors[row], expected)


def test_equal_images_have_no_difference():
    torch.manual_seed(0)
    x = torch.randn(2, NODES, WIDTH)
    assert not GatedPooling(WIDTH, 5, 0.0)(x, x).vectors[:, 1].any()
