"""Registration: a known shift is estimated and undone; new pixels at a border are not a change."""

import pytest
import torch

from lapse.models.layers.registration import affine_map, phase_shift, residual, shifted

SIDE = 48


def pictures(count: int = 3) -> torch.Tensor:
    """Smooth random images in [-1, 1]: [count, SIDE, SIDE]."""
    noise = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=SIDE, mode="bicubic")
    return smooth[:, 0].clamp(0, 1) * 2 - 1


SHIFTS = torch.tensor([[3, -2], [0, 0], [-5, 4]])


def test_a_known_shift_is_found_for_each_pair_of_a_batch():
    reference = pictures()
    main, _ = shifted(reference, SHIFTS)
    assert torch.equal(phase_shift(reference, main, 0.2), SHIFTS)


def test_the_residual_of_a_shifted_image_is_zero_and_without_registration_it_is_not():
    reference = pictures()
    main, is_seen = shifted(reference, SHIFTS)
    left = residual(reference, main, "shift", 0.2)
    assert torch.equal(left, torch.zeros_like(left))
    plain = residual(reference, main, "none", 0.2)
    assert (plain * is_seen).abs().amax(dim=(1, 2))[[0, 2]].min() > 0.1


def test_a_change_survives_registration_where_it_is():
    reference = pictures(1)
    main, _ = shifted(reference, SHIFTS[:1])
    main = main.clone()
    main[:, 20:26, 20:26] += 0.5
    left = residual(reference, main, "shift", 0.2)
    assert torch.allclose(left[:, 20:26, 20:26], torch.tensor(0.25), atol=1e-6)
    assert left.abs().sum() == pytest.approx(36 * 0.25, rel=1e-5)


def test_no_shift_beyond_the_limit_is_believed():
    reference = pictures(1)
    main, _ = shifted(reference, torch.tensor([[12, 0]]))
    assert phase_shift(reference, main, 0.3).tolist() == [[12, 0]]
    assert phase_shift(reference, main, 0.1).abs().max() <= 0.1 * SIDE


def test_an_unknown_way_names_the_known_ones():
    with pytest.raises(ValueError, match="one of shift, affine, flow, none"):
        residual(pictures(1), pictures(1), "magic", 0.1)


def test_the_same_shift_as_scikit_image():
    skimage = pytest.importorskip("skimage.registration")
    reference = pictures()
    main, _ = shifted(reference, SHIFTS)
    window = torch.hann_window(SIDE, periodic=False)
    window = window[:, None] * window[None]  # scikit-image has none, and reads the borders
    for one, two, shift in zip(reference, main, SHIFTS, strict=True):
        expected, _, _ = skimage.phase_cross_correlation(
            ((two - two.mean()) * window).numpy(),
            ((one - one.mean()) * window).numpy(),
            normalization="phase",
        )
        assert expected.tolist() == shift.tolist()


def test_a_shift_that_makes_matters_worse_is_not_believed(monkeypatch):
    monkeypatch.setattr("lapse.models.layers.registration.phase_shift", lambda *_: SHIFTS)
    reference = pictures()
    left = residual(reference, reference.clone(), "shift", 0.2)
    assert torch.equal(left, torch.zeros_like(left))


def test_flow_follows_a_bend_that_a_shift_cannot():
    pytest.importorskip("skimage.registration")
    reference = pictures(1)
    rows = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(rows, rows, indexing="ij")
    grid = torch.stack([x + 0.06 * torch.sin(3 * y), y], -1)[None]
    main = torch.nn.functional.grid_sample(
        reference[:, None], grid, padding_mode="border", align_corners=True
    )[:, 0]
    inner = slice(8, -8)
    size = {
        by: residual(reference, main, by, 0.1)[:, inner, inner].abs().mean().item()
        for by in ("none", "shift", "flow")
    }
    assert size["flow"] < 0.5 * size["shift"] <= 0.5 * size["none"] * 1.0001


def test_an_affine_map_is_found_and_undone():
    reference = pictures()
    true = torch.tensor([[[1.04, 0.03, 0.02], [-0.03, 0.97, -0.04]]]).repeat(3, 1, 1)
    grid = torch.nn.functional.affine_grid(true, [3, 1, SIDE, SIDE], False)
    main = torch.nn.functional.grid_sample(reference[:, None], grid, align_corners=False)[:, 0]
    maps = affine_map(reference, main, torch.zeros(3, 2, dtype=torch.long))
    torch.testing.assert_close(maps, true, rtol=0, atol=0.005)
    left = residual(reference, main, "affine", 0.2).abs().mean((1, 2))
    shift_only = residual(reference, main, "shift", 0.2).abs().mean((1, 2))
    assert bool((left < 0.15 * shift_only).all())


def test_an_affine_map_that_does_not_help_is_not_used():
    reference = pictures()
    other = reference.flip(0)
    left = residual(reference, other, "affine", 0.1).abs().sum()
    assert float(left) <= float(residual(reference, other, "shift", 0.1).abs().sum()) * 1.5
    same = residual(reference, reference, "affine", 0.1)
    assert float(same.abs().max()) < 1e-4
