"""Bring the reference onto the main image, and what is left when they are subtracted.

Legend: B pairs  S image side

    reference --shift | flow--> on the main image's grid;  residual = (main - moved) / 2

"shift" is phase correlation (Kuglin and Hines, 1975) by PyTorch's FFT, for a whole batch at
once and on the images' device; tests compare it with scikit-image's. "flow" is the iterative
Lucas-Kanade optical flow of scikit-image (extra "registration"), which also follows breathing.
A shift after which more is left than before is not believed. What enters at a border is not a
change: there the residual is zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.core.extras import install_command

SMALL = 1e-6
FLOW_RADIUS = 7  # pixels around a point that move together


def residual(reference: Tensor, main: Tensor, by: str, max_shift: float) -> Tensor:
    """Main minus registered reference, halved: [B, S, S] in [-1, 1].

    Args:
        reference, main: [B, S, S] in [-1, 1].
        by: "shift", "flow" or "none".
        max_shift: farthest shift that is looked for, as a share of S.

    Raises:
        ValueError: "flow" without scikit-image, or another word.
    """
    if by == "none":
        return (main - reference) / 2
    if by == "shift":
        moved, is_seen = _helpful_shift(reference, main, max_shift)
    elif by == "flow":
        moved, is_seen = _along_flow(reference, main)
    else:
        raise ValueError(f"registration by {by!r}: one of shift, flow, none")
    return (main - moved) / 2 * is_seen


def phase_shift(reference: Tensor, main: Tensor, max_shift: float) -> Tensor:
    """How far the reference must move to lie on the main image: [B, 2] pixels down and right."""
    side = main.shape[-1]
    window = torch.hann_window(side, periodic=False, dtype=main.dtype, device=main.device)
    window = window[:, None] * window[None, :]

    def spectrum(images: Tensor) -> Tensor:
        centred = images - images.mean(dim=(-2, -1), keepdim=True)
        found: Tensor = torch.fft.fft2(centred * window)
        return found

    cross = spectrum(main) * spectrum(reference).conj()
    peak = torch.fft.ifft2(cross / cross.abs().clamp(min=SMALL)).real  # [B, S, S]
    steps = torch.fft.fftfreq(side, 1 / side, device=main.device)  # 0 1 .. -2 -1
    is_near = steps.abs() <= max_shift * side
    allowed = is_near[:, None] & is_near[None, :]
    best = peak.masked_fill(~allowed, -torch.inf).flatten(1).argmax(1)
    return torch.stack([steps[best // side], steps[best % side]], dim=1).round().long()


def _helpful_shift(reference: Tensor, main: Tensor, max_shift: float) -> tuple[Tensor, Tensor]:
    """The shifted reference, or the reference as it is where the shift makes matters worse."""
    moved, is_seen = shifted(reference, phase_shift(reference, main, max_shift))
    left = ((main - moved).abs() * is_seen).sum((1, 2)) / is_seen.sum((1, 2))
    is_better = (left < (main - reference).abs().mean((1, 2)))[:, None, None]
    return torch.where(is_better, moved, reference), is_seen | ~is_better


def shifted(images: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Whole-pixel shift down and right; what enters at the border is 0 and marked unseen.

    Returns:
        moved [B, S, S], and [B, S, S] bool where it shows the image.
    """
    side = images.shape[-1]
    here = torch.arange(side, device=images.device)
    rows = here[None] - shift[:, :1]  # [B, S], where each pixel comes from
    columns = here[None] - shift[:, 1:]
    is_row, is_column = ((at >= 0) & (at < side) for at in (rows, columns))
    index = torch.arange(len(images), device=images.device)[:, None, None]
    found = images[index, rows.clamp(0, side - 1)[:, :, None], columns.clamp(0, side - 1)[:, None]]
    is_seen = is_row[:, :, None] & is_column[:, None]
    return found * is_seen, is_seen


def _along_flow(reference: Tensor, main: Tensor) -> tuple[Tensor, Tensor]:
    try:
        from skimage.registration import optical_flow_ilk
    except ImportError as error:
        raise ValueError(
            "registration by flow needs scikit-image: set model.registration=shift, or "
            f"{install_command('registration')}"
        ) from error
    flows = [
        torch.from_numpy(optical_flow_ilk(there, here, radius=FLOW_RADIUS)).float()
        for here, there in zip(reference.cpu().numpy(), main.cpu().numpy(), strict=True)
    ]
    flow = torch.stack(flows).to(main.device)  # [B, 2, S, S], main's pixel -> the reference's
    side = main.shape[-1]
    here = torch.arange(side, device=main.device, dtype=main.dtype)
    rows, columns = here[:, None] + flow[:, 0], here[None] + flow[:, 1]
    grid = torch.stack([columns, rows], dim=-1) * 2 / (side - 1) - 1  # x before y
    moved = F.grid_sample(
        reference[:, None], grid.to(reference.dtype), padding_mode="border", align_corners=True
    )[:, 0]
    return moved, grid.abs().amax(-1) <= 1
