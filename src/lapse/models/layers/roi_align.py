"""RoIAlign (He et al., 2017) on the grid of visual tokens.

Legend: U images  R regions  S side of the grid  D width  P bins along a side  K points per bin

A box is cut into P x P bins; K x K points lie evenly in each bin; the token grid is interpolated
linearly at each point; a bin is the mean of its points. Linear interpolation over a rectangle of
evenly spaced points is one small matrix along y times one along x:

    out[p, q] = sum over rows i and columns j of  Y[p, i] grid[i, j] X[q, j]

A token stands at the middle of its patch: fraction f of the image is f S - 1/2 in grid steps,
and a point beyond the outermost middles takes the nearest token's value.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(
    tokens: Tensor, boxes: Tensor, image_of: Tensor, side: int, *, bins: int, samples: int
) -> Tensor:
    """Features of boxes.

    Args:
        tokens: [U, N, D], N = side x side in reading order.
        boxes: [R, 4] as fractions of the image: x_min, y_min, x_max, y_max.
        image_of: [R] int64, the image of each box.
        side: S.
        bins, samples: P and K.

    Returns:
        [R, P * P, D] in reading order.

    Raises:
        ValueError: the tokens are no square of that side.
    """
    images, count, width = tokens.shape
    if count != side * side:
        raise ValueError(f"{count} tokens are no grid of {side} x {side}")
    grid = tokens.view(images, side, side, width)
    along_x = _weights(boxes[:, 0], boxes[:, 2], side, bins, samples).to(tokens.dtype)
    along_y = _weights(boxes[:, 1], boxes[:, 3], side, bins, samples).to(tokens.dtype)
    found = torch.einsum("rpi,rijd,rqj->rpqd", along_y, grid[image_of], along_x)
    return found.reshape(len(boxes), bins * bins, width)


def _weights(low: Tensor, high: Tensor, side: int, bins: int, samples: int) -> Tensor:
    """[R], [R] -> [R, P, S]: how much each grid line counts in each bin along one axis."""
    points = bins * samples
    steps = (torch.arange(points, device=low.device, dtype=low.dtype) + 0.5) / points
    places = low[:, None] + (high - low)[:, None] * steps  # [R, P * K] fractions
    places = (places * side - 0.5).clamp(0.0, side - 1.0)
    lines = torch.arange(side, device=low.device)
    tents = (1.0 - (places[..., None] - lines).abs()).clamp(min=0.0)  # [R, P * K, S]
    return tents.view(len(low), bins, samples, side).mean(dim=2)
