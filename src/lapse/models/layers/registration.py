"""Register the reference image to the main image and subtract it.

Legend: B pairs  S image size

    reference --shift | flow--> on the main image's grid;  residual = (main - moved) / 2

"shift" is phase correlation (Kuglin and Hines, 1975) by PyTorch's FFT, for all pairs of a batch
together and on the images' device; tests compare it with scikit-image's. "flow" is the iterative
Lucas-Kanade optical flow of scikit-image (extra "registration"), which also follows breathing.
"affine" continues from the shift with Gauss-Newton steps. A shift or map that increases the
residual is ignored. Pixels that enter at a border are not a change:
their residual is zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.core.extras import install_command

SMALL = 1e-6
FLOW_RADIUS = 7  # pixels around a point that move together
AFFINE_SIDE, AFFINE_STEPS = 64, 12  # side of the images that an affine map is fitted on


def residual(reference: Tensor, main: Tensor, method: str, max_shift: float) -> Tensor:
    """Main image minus registered reference, halved: [B, S, S] in [-1, 1].

    Args:
        reference, main: [B, S, S] in [-1, 1].
        method: "shift", "affine", "flow" or "none".
        max_shift: largest shift that is considered, as a fraction of S.

    Raises:
        ValueError: "flow" without scikit-image, or an unknown method.
    """
    if method == "none":
        return (main - reference) / 2
    if method == "shift":
        moved, is_valid = _registered_by_shift(reference, main, max_shift)
    elif method == "affine":
        moved, is_valid = _registered_by_affine(reference, main, max_shift)
    elif method == "flow":
        moved, is_valid = _registered_by_flow(reference, main)
    else:
        raise ValueError(f"registration by {method!r}: one of shift, affine, flow, none")
    return (main - moved) / 2 * is_valid


def phase_shift(reference: Tensor, main: Tensor, max_shift: float) -> Tensor:
    """The shift that registers the reference to the main image: [B, 2] pixels down and right."""
    size = main.shape[-1]
    window = torch.hann_window(size, periodic=False, dtype=main.dtype, device=main.device)
    window = window[:, None] * window[None, :]

    def spectrum(images: Tensor) -> Tensor:
        centred = images - images.mean(dim=(-2, -1), keepdim=True)
        transform: Tensor = torch.fft.fft2(centred * window)
        return transform

    cross = spectrum(main) * spectrum(reference).conj()
    peak = torch.fft.ifft2(cross / cross.abs().clamp(min=SMALL)).real  # [B, S, S]
    steps = torch.fft.fftfreq(size, 1 / size, device=main.device)  # 0 1 .. -2 -1
    is_near = steps.abs() <= max_shift * size
    allowed = is_near[:, None] & is_near[None, :]
    best = peak.masked_fill(~allowed, -torch.inf).flatten(1).argmax(1)
    return torch.stack([steps[best // size], steps[best % size]], dim=1).round().long()


def _registered_by_shift(
    reference: Tensor, main: Tensor, max_shift: float
) -> tuple[Tensor, Tensor]:
    """The shifted reference, or the reference unchanged where the shift increases the residual."""
    moved, is_valid = shifted(reference, phase_shift(reference, main, max_shift))
    after = ((main - moved).abs() * is_valid).sum((1, 2)) / is_valid.sum((1, 2))
    is_better = (after < (main - reference).abs().mean((1, 2)))[:, None, None]
    return torch.where(is_better, moved, reference), is_valid | ~is_better


def shifted(images: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Shift images by full pixels down and right; pixels that enter at the border are 0.

    Args:
        images: [B, S, S].
        shift: [B, 2] int64, pixels down and right.

    Returns:
        moved [B, S, S], and [B, S, S] bool, False where a pixel entered at the border.
    """
    size = images.shape[-1]
    index = torch.arange(size, device=images.device)
    rows = index[None] - shift[:, :1]  # [B, S], the source of each pixel
    columns = index[None] - shift[:, 1:]
    is_row, is_column = ((source >= 0) & (source < size) for source in (rows, columns))
    image = torch.arange(len(images), device=images.device)[:, None, None]
    last = size - 1
    moved = images[image, rows.clamp(0, last)[:, :, None], columns.clamp(0, last)[:, None]]
    is_valid = is_row[:, :, None] & is_column[:, None]
    return moved * is_valid, is_valid


def affine_map(reference: Tensor, main: Tensor, start: Tensor) -> Tensor:
    """The affine map from places of the main image to places of the reference: [B, 2, 3].

    Gauss-Newton steps on the squared difference (Lucas and Kanade, 1981) of smoothed images.

    Args:
        reference, main: [B, S, S].
        start: [B, 2] pixels down and right, the shift to start from.

    Returns:
        rows give x and y in [-1, 1], as `torch.nn.functional.affine_grid` reads them.
    """
    size = main.shape[-1]
    step = max(1, size // AFFINE_SIDE)
    small, target = (F.avg_pool2d(images[:, None], step) for images in (reference, main))
    count = target.shape[-1]
    maps = torch.eye(2, 3, device=main.device, dtype=main.dtype).repeat(len(main), 1, 1)
    maps[:, :, 2] = -start.flip(1).to(main.dtype) * 2 / size
    places = F.affine_grid(maps[:1] * 0 + torch.eye(2, 3).to(maps), [1, 1, count, count], False)
    ones = torch.ones_like(places[..., :1])
    homogeneous = torch.cat([places, ones], dim=-1).view(1, -1, 3)  # [1, P, 3]
    for _ in range(AFFINE_STEPS):
        grid = F.affine_grid(maps, [len(main), 1, count, count], False)
        moved = F.grid_sample(small, grid, padding_mode="border", align_corners=False)
        is_valid = (grid.abs().amax(-1) <= 1).flatten(1)
        slopes = [
            F.grid_sample(part, grid, padding_mode="border", align_corners=False).flatten(1)
            for part in _slopes(small)
        ]
        error = (target - moved).flatten(1) * is_valid
        parts = [slope[..., None] * homogeneous for slope in slopes]
        jacobian = torch.cat(parts, dim=-1) * is_valid[..., None]  # [B, P, 6]
        normal = jacobian.transpose(1, 2) @ jacobian
        normal = normal + SMALL * torch.eye(6, device=main.device, dtype=main.dtype)
        update = torch.linalg.solve(normal, (jacobian.transpose(1, 2) @ error[..., None]))
        maps = maps + update.view(-1, 2, 3)
    return maps


def _slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of [B, 1, S, S] along x and y, for coordinates in [-1, 1]."""
    down, right = torch.gradient(images, dim=(2, 3))
    scale = images.shape[-1] / 2
    return right * scale, down * scale


def _registered_by_affine(
    reference: Tensor, main: Tensor, max_shift: float
) -> tuple[Tensor, Tensor]:
    """The mapped reference; shifted only, or unchanged, where that gives a smaller residual."""
    shift = phase_shift(reference, main, max_shift)
    maps = affine_map(reference, main, shift)
    is_near = (maps - torch.eye(2, 3).to(maps)).abs().amax((1, 2)) <= 2 * max_shift
    grid = F.affine_grid(maps, [len(main), 1, *main.shape[1:]], False)
    mapped = F.grid_sample(reference[:, None], grid, align_corners=False)[:, 0]
    inside = grid.abs().amax(-1) <= 1
    moved, is_valid = _registered_by_shift(reference, main, max_shift)
    after, before = (
        ((main - image).abs() * seen).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
        for image, seen in ((mapped, inside), (moved, is_valid))
    )
    is_better = ((after < before) & is_near)[:, None, None]
    return torch.where(is_better, mapped, moved), torch.where(is_better, inside, is_valid)


def _registered_by_flow(reference: Tensor, main: Tensor) -> tuple[Tensor, Tensor]:
    try:
        from skimage.registration import optical_flow_ilk
    except ImportError as error:
        raise ValueError(
            "registration by flow needs scikit-image: set model.registration=shift, or "
            f"{install_command('registration')}"
        ) from error
    pairs = zip(main.cpu().numpy(), reference.cpu().numpy(), strict=True)
    flows = [
        torch.from_numpy(optical_flow_ilk(*pair, radius=FLOW_RADIUS)).float() for pair in pairs
    ]
    flow = torch.stack(flows).to(main.device)  # [B, 2, S, S], main's pixel -> the reference's
    size = main.shape[-1]
    index = torch.arange(size, device=main.device, dtype=main.dtype)
    rows, columns = index[:, None] + flow[:, 0], index[None] + flow[:, 1]
    grid = torch.stack([columns, rows], dim=-1) * 2 / (size - 1) - 1  # x before y
    moved = F.grid_sample(
        reference[:, None], grid.to(reference.dtype), padding_mode="border", align_corners=True
    )[:, 0]
    return moved, grid.abs().amax(-1) <= 1
