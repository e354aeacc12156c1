"""Cross-attention of rows of text to images that several rows share.

Legend: U images  B rows (texts)  R slots per image  T text tokens  N visual tokens
        D width  H heads  d width of a head

Keys and values of an image are computed once and not copied: the rows of an image become
additional queries against one set of keys.

    image_of [1, 0, 1]  ->  image 0: row 1, (unused)
                            image 1: row 0, row 2
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lapse.models.layers.transformer import attend, join_heads, split_heads

# Rows are arranged image by image unless the unused slots exceed this multiple of the rows; then
# every row gets a copy of its image's keys and values.
MAX_UNUSED = 1.0


@dataclass(frozen=True, slots=True)
class RowsByImage:
    """The arrangement of rows image by image, with R slots per image.

    Attributes:
        image_of: [B], the image of each row.
        num_images: U.
        per_image: R, the largest number of rows of one image; 0 where the numbers are too uneven.
        slots: [B], the slot of each row among the U * R; None where row b has slot b.
    """

    image_of: Tensor
    num_images: int
    per_image: int
    slots: Tensor | None

    @classmethod
    def of(cls, image_of: Tensor, num_images: int) -> RowsByImage:
        """Compute the arrangement once for all layers.

        Raises:
            ValueError: a row refers to an image that does not exist.
        """
        images = image_of.tolist()
        counts = [0] * num_images
        ranks = []
        for image in images:
            if not 0 <= image < num_images:
                raise ValueError(f"a row names image {image}, the batch has {num_images}")
            ranks.append(counts[image])
            counts[image] += 1
        per_image = max(counts, default=0)
        if num_images * per_image > (1 + MAX_UNUSED) * len(images):
            return cls(image_of, num_images, 0, None)
        slots = [image * per_image + rank for image, rank in zip(images, ranks, strict=True)]
        if slots == list(range(num_images * per_image)):
            return cls(image_of, num_images, per_image, None)
        device = image_of.device
        return cls(image_of, num_images, per_image, torch.tensor(slots, device=device))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [B, H, T, d] against key and value [U, H, N, d] -> [B, H, T, d]."""
        if self.per_image == 0:
            return attend(query, key[self.image_of], value[self.image_of])
        _, heads, length, depth = query.shape
        images, per_image = self.num_images, self.per_image
        arranged = query
        if self.slots is not None:
            unused = query.new_zeros(images * per_image, heads, length, depth)
            arranged = unused.index_copy(0, self.slots, query)
        arranged = arranged.reshape(images, per_image, heads, length, depth).transpose(1, 2)
        arranged = arranged.reshape(images, heads, per_image * length, depth)
        attended = attend(arranged, key, value)  # [U, H, R * T, d]
        attended = attended.view(images, heads, per_image, length, depth).transpose(1, 2)
        attended = attended.reshape(images * per_image, heads, length, depth)
        return attended if self.slots is None else attended.index_select(0, self.slots)


@dataclass(frozen=True, slots=True)
class Memory:
    """Cross-attention keys and values of every layer, and the image of each row.

    Attributes:
        pairs: keys and values of each layer, both [U, H, N, d].
        layout: the rows of each image.
    """

    pairs: tuple[tuple[Tensor, Tensor], ...]
    layout: RowsByImage

    def for_rows(self, rows: Tensor) -> Memory:
        """The same images for other rows (indices into the present ones)."""
        layout = RowsByImage.of(self.layout.image_of[rows], self.layout.num_images)
        return Memory(self.pairs, layout)


class CrossAttention(nn.Module):
    """Rows of text attend to the visual tokens of their image."""

    def __init__(self, width: int, heads: int, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key_value = nn.Linear(width, 2 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def project(self, visual: Tensor) -> tuple[Tensor, Tensor]:
        """[U, N, D] -> key, value, each [U, H, N, d]."""
        key, value = self.key_value(visual).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, layout: RowsByImage) -> Tensor:
        """x [B, T, D], key and value [U, H, N, d] -> [B, T, D]."""
        query = split_heads(self.query(x), self.heads)  # [B, H, T, d]
        out: Tensor = self.out(join_heads(layout.attend(query, key, value)))
        return out
