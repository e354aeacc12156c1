"""Is an image unlike the films that a model was trained on? A score from its pixels.

    score = ln(d / median d) - r

d is the Mahalanobis distance of the pooled encoder tokens from those of training films, in the
directions of largest variance; r is the correlation of the image with the mean training film at
32 px. Limits: a warning above the 99% quantile of other films of the same kind (validation
patients), a refusal above the 5% quantile of training films that are turned or negative. No image
of another kind sets a limit, so a warning says "unlike the training films" and nothing else.

A mirrored film is not detected: left and right of a chest film are too similar at this scale.
Legend: U images  S image side  D width of the encoder  K directions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

FILM_SIZE = 32  # pixels of the mean film
MAX_DIRECTIONS = 96
MIN_FILMS = 50  # training films, and validation films, that a fit needs
WARN_QUANTILE, REFUSE_QUANTILE = 0.99, 0.05
NUM_DAMAGED = 250  # training films that are turned and inverted for each kind
BATCH = 128
MIN_CORRELATION = 0.3  # with a view of the mean film, below which no kind is named
SMALLEST = 1e-12

UPRIGHT = "upright"
# kind of a fault -> the view of an upright film that shows it
VIEWS: Mapping[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "turned by 180 degrees or flipped": lambda films: films[..., ::-1, ::-1],
    "turned by 90 degrees to the left": lambda films: np.rot90(films, 1, (-2, -1)),
    "turned by 90 degrees to the right": lambda films: np.rot90(films, 3, (-2, -1)),
}
NEGATIVE = "negative (black and white exchanged)"


@dataclass(frozen=True, slots=True, eq=False)
class PixelCheck:
    """The fitted check of one model.

    Attributes:
        mean: [D] of the pooled tokens of training films.
        whitening: [K, D] directions divided by their standard deviations.
        film: [32, 32] mean training film, with mean 0 and norm 1.
        median: of the distance of training films.
        warn: score above which an image is unusual.
        refuse: score above which an image is refused.
        facts: what the check was fitted on.
    """

    mean: Floats
    whitening: Floats
    film: Floats
    median: float
    warn: float
    refuse: float
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = self.mean.shape, self.whitening.shape, self.film.shape
        (width,) = self.mean.shape if self.mean.ndim == 1 else (-1,)
        if (
            self.whitening.ndim != 2
            or self.whitening.shape[1] != width
            or self.film.shape != (FILM_SIZE, FILM_SIZE)
        ):
            raise ValueError(
                f"an input check has a mean [D], directions [K, D] and a film [{FILM_SIZE}, "
                f"{FILM_SIZE}], got {shapes}"
            )
        arrays = (self.mean, self.whitening, self.film)
        scalars = (self.median, self.warn, self.refuse)
        if not all(np.isfinite(values).all() for values in (*arrays, scalars)):
            raise ValueError("an input check has values that are not finite")
        if not (self.median > 0.0 and self.warn < self.refuse):
            raise ValueError(
                f"an input check warns above {self.warn:.3f} and refuses above {self.refuse:.3f}, "
                f"median {self.median:.3f}: the median is positive, the first limit the lower one"
            )

    def scores(self, tokens: Floats, pixels: Pixels) -> Floats:
        """The score of each image: higher is less usual. # [U, D], [U, S, S] -> [U]"""
        distance = np.linalg.norm((tokens - self.mean) @ self.whitening.T, axis=1)
        correlation = (small_films(pixels) * self.film).sum(axis=(1, 2))
        return np.asarray(np.log(np.maximum(distance, SMALLEST) / self.median) - correlation)

    def kind(self, pixels: Pixels) -> str:
        """The fault of a refused image: a name of `VIEWS`, `NEGATIVE`, or "" if unknown.

        Args:
            pixels: [S, S]
        """
        (film,) = small_films(pixels[None])
        correlations = {UPRIGHT: float((film * self.film).sum())}
        correlations[NEGATIVE] = -correlations[UPRIGHT]
        for name, view in VIEWS.items():
            correlations[name] = float((film * view(self.film)).sum())
        best = max(correlations, key=lambda name: correlations[name])
        is_named = best != UPRIGHT and correlations[best] >= MIN_CORRELATION
        return best if is_named else ""


def fit_pixel_check(
    encode: Callable[[Tensor], Tensor],
    train: Pixels,
    validate: Pixels,
    *,
    facts: Mapping[str, str] | None = None,
) -> PixelCheck:
    """Fit the check on training films and set its limits.

    Args:
        encode: uint8 [U, 1, S, S] -> tokens [U, N, D], of the model's encoder.
        train: [U, S, S] films of training patients.
        validate: [U, S, S] films of other patients.
        facts: where the films come from.

    Raises:
        ValueError: too few films, or turned films that the score does not separate.
    """
    for name, films in (("training", train), ("validation", validate)):
        if len(films) < MIN_FILMS:
            raise ValueError(
                f"{len(films)} {name} films cannot fit an input check: at least {MIN_FILMS}"
            )
    tokens = pooled_tokens(encode, train)
    mean = tokens.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(tokens.T))
    kept = np.flatnonzero(variances > SMALLEST * variances[-1])[-MAX_DIRECTIONS:]
    # what is stored has 16 bits, so the limits are those of the stored numbers
    whitening = _half((directions[:, kept] / np.sqrt(variances[kept])).T)
    film = _half(_centred(small_films(train).mean(axis=0)))
    mean = mean.astype(np.float32).astype(np.float64)
    median = float(np.median(np.linalg.norm((tokens - mean) @ whitening.T, axis=1)))
    check = PixelCheck(mean, whitening, film, median, 0.0, 1.0, dict(facts or {}))

    def score_quantile(films: Pixels, quantile: float) -> float:
        return float(np.quantile(check.scores(pooled_tokens(encode, films), films), quantile))

    warn = score_quantile(validate, WARN_QUANTILE)
    damaged = damaged_films(train[:: max(1, len(train) // NUM_DAMAGED)])
    refuse = score_quantile(damaged, REFUSE_QUANTILE)
    if warn >= refuse:
        raise ValueError(
            f"the input check does not separate turned and negative films (score {refuse:.3f}) "
            f"from upright films (score {warn:.3f}): train the encoder for longer"
        )
    return replace(check, warn=warn, refuse=refuse)


def pooled_tokens(encode: Callable[[Tensor], Tensor], pixels: Pixels) -> Floats:
    """The mean token of each image. # [U, S, S] -> [U, D]

    Args:
        encode: uint8 [U, 1, S, S] -> [U, N, D], on the device of its weights.
    """
    pooled = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            images = torch.from_numpy(np.ascontiguousarray(pixels[start : start + BATCH]))
            tokens = encode(images[:, None])
            pooled.append(tokens.float().mean(dim=1).cpu().numpy().astype(np.float64))
    return np.concatenate(pooled)


def damaged_films(films: Pixels) -> Pixels:
    """Films in every wrong orientation, and negative. # [U, S, S] -> [5 U, S, S]"""
    views = [view(films) for view in VIEWS.values()]
    return np.concatenate([*views, films[:, ::-1], 255 - films])


def small_films(pixels: Pixels) -> Floats:
    """Images at 32 px, with mean 0 and norm 1. # [U, S, S] -> [U, 32, 32]"""
    size = (FILM_SIZE, FILM_SIZE)
    small = [
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.float64)
        for image in pixels
    ]
    return _centred(np.stack(small))


def _centred(films: Floats) -> Floats:
    centred = films - films.mean(axis=(-2, -1), keepdims=True)
    norm = np.linalg.norm(centred, axis=(-2, -1), keepdims=True)
    return np.asarray(centred / np.maximum(norm, SMALLEST))


def _half(values: Floats) -> Floats:
    """Rounded to 16 bits, as the file of the check holds them."""
    return values.astype(np.float16).astype(np.float64)
