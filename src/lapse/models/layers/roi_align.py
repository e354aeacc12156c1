"""RoIAlign (He et al., 2017) on the grid of visual tokens.

Legend: U images  R regions  S size of the grid  D width  P bins along an axis  K points per bin

A box is divided into P x P bins with K x K evenly spaced points each. The token grid is
interpolated linearly at each point; a bin is the mean of its points. Linear interpolation over a
rectangle of evenly spaced points is one small matrix along y times one along x:

    out[p, q] = sum over rows i and columns j of  Y[p, i] grid[i, j] X[q, j]

A token is at the centre of its patch: fraction f of the image is f S - 1/2 in grid steps. A
point beyond the outermost centres takes the nearest token's value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def roi_align(
    tokens: Tensor, boxes: Tensor, image_of: Tensor, *, bins: int, samples: int
) -> Tensor:
    """Features inside boxes.

    Args:
        tokens: [U, N, D], N = S x S in reading order.
        boxes: [R, 4] as fractions of the image: x_min, y_min, x_max, y_max.
        image_of: [R] int64, the image of each box.
        bins, samples: P and K.

    Returns:
        [R, P * P, D] in reading order.

    Raises:
        ValueError: the number of tokens is not a square.
    """
    images, count, width = tokens.shape
    size = math.isqrt(count)
    if count != size * size:
        raise ValueError(f"{count} tokens are not a square grid: RoIAlign needs S x S tokens")
    grid = tokens.view(images, size, size, width)
    along_x = _weights(boxes[:, 0], boxes[:, 2], size, bins, samples).to(tokens.dtype)
    along_y = _weights(boxes[:, 1], boxes[:, 3], size, bins, samples).to(tokens.dtype)
    features = torch.einsum("rpi,rijd,rqj->rpqd", along_y, grid[image_of], along_x)
    return features.reshape(len(boxes), bins * bins, width)


def _weights(low: Tensor, high: Tensor, size: int, bins: int, samples: int) -> Tensor:
    """[R], [R] -> [R, P, S]: the weight of each grid line in each bin along one axis."""
    num_points = bins * samples
    steps = (torch.arange(num_points, device=low.device, dtype=low.dtype) + 0.5) / num_points
    points = low[:, None] + (high - low)[:, None] * steps  # [R, P * K] fractions
    points = (points * size - 0.5).clamp(0.0, size - 1.0)
    lines = torch.arange(size, device=low.device)
    weights = (1.0 - (points[..., None] - lines).abs()).clamp(min=0.0)  # [R, P * K, S]
    return weights.view(len(low), bins, samples, size).mean(dim=2)
