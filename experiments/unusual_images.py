"""Images that are not chest films, drawn by a seed: noise, flat, text, screenshots, smooth, limbs.

`unusual_images(seed, count)` gives kind -> images; photographs come from the packages that are
installed (scikit-learn, matplotlib), as many as there are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 256
WORDS = ("report", "patient", "left", "lung", "edema", "total", "invoice", "page", "date", "street")

Grey = NDArray[np.float64]
Draw = np.random.Generator
Point = tuple[float, float]


def unusual_images(seed: int, count: int) -> dict[str, list[NDArray[np.uint8]]]:
    """`count` images of each kind. # [256, 256] uint8"""
    kinds: dict[str, Callable[[Draw, int], Grey]] = {
        "noise": _noise,
        "flat": _flat,
        "text": _text,
        "screenshots": _screenshot,
        "smooth": _smooth,
        "other parts of the body": _body_part,
    }
    images: dict[str, list[NDArray[np.uint8]]] = {}
    for number, (kind, make) in enumerate(kinds.items()):
        draw = np.random.default_rng([seed, number])
        images[kind] = [
            np.clip(np.rint(make(draw, index)), 0, 255).astype(np.uint8) for index in range(count)
        ]
    return images


def photographs() -> list[NDArray[np.uint8]]:
    """The photographs of installed packages, grey."""
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    images = [Image.fromarray(image) for image in load_sample_images().images]
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        images.append(Image.open(file).copy())
    return [np.asarray(image.convert("L")) for image in images]


def _noise(draw: Draw, index: int) -> Grey:
    shape = (SIDE, SIDE)
    match index % 5:
        case 0:
            return draw.integers(0, 256, shape).astype(np.float64)
        case 1:
            return 128 + 40 * draw.standard_normal(shape)
        case 2:
            return 255.0 * (draw.random(shape) < 0.5)
        case 3:
            return np.kron(draw.integers(0, 256, (SIDE // 8, SIDE // 8)), np.ones((8, 8)))
        case _:
            return draw.poisson(20 + 80 * draw.random(), shape).astype(np.float64)


def _flat(draw: Draw, index: int) -> Grey:
    image = np.full((SIDE, SIDE), float(draw.integers(20, 235)))
    match index % 4:
        case 0:
            image[0, 0] += 1
        case 1:
            image += draw.integers(0, 2, image.shape)
        case 2:
            image[:, draw.integers(40, 216) :] = 255 - image[0, 0]
        case _:
            top, left = draw.integers(30, 180, 2)
            image[top : top + 50, left : left + 60] = 255 - image[0, 0]
    return image


def _text(draw: Draw, index: int) -> Grey:
    paper, ink = ((245, 15), (20, 235))[index % 2]
    image = Image.new("L", (SIDE, SIDE), paper)
    canvas = ImageDraw.Draw(image)
    size = int(draw.integers(9, 22))
    font = ImageFont.load_default(size=size)
    for top in range(6, SIDE - size, round(1.35 * size)):
        canvas.text((8, top), " ".join(draw.choice(WORDS, 6)), fill=ink, font=font)
    return np.asarray(image).astype(np.float64)


def _screenshot(draw: Draw, _: int) -> Grey:
    image = Image.new("L", (SIDE, SIDE), int(draw.integers(180, 255)))
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=14)
    canvas.rectangle((0, 0, SIDE, 18), fill=int(draw.integers(30, 120)))
    for _ in range(int(draw.integers(3, 9))):
        (left, top), (width, height) = draw.integers(0, 200, 2), draw.integers(20, 120, 2)
        box = (int(left), int(top), int(left + width), int(top + height))
        canvas.rectangle(box, fill=int(draw.integers(0, 255)), outline=0)
        words = " ".join(draw.choice(WORDS, 3))
        canvas.text((box[0] + 3, box[1] + 3), words, fill=int(draw.integers(0, 255)), font=font)
    return np.asarray(image).astype(np.float64)


def _smooth(draw: Draw, index: int) -> Grey:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    match index % 4:
        case 0:
            angle = draw.uniform(0, 2 * np.pi)
            image = rows * np.cos(angle) + columns * np.sin(angle)
        case 1:
            top, left = draw.random(2)
            image = np.exp(-((rows - top) ** 2 + (columns - left) ** 2) / draw.uniform(0.02, 0.3))
        case 2:
            image = np.sin(draw.uniform(2, 10) * rows + draw.random()) * np.cos(
                draw.uniform(2, 10) * columns
            )
        case _:
            coarse = draw.random((5, 5)) * 255
            size = (SIDE, SIDE)
            image = np.asarray(
                Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
            ).astype(np.float64)
    return 255.0 * (image - image.min()) / max(float(np.ptp(image)), 1e-9)


def _body_part(draw: Draw, index: int) -> Grey:
    """A film of a hand, a lower leg, a skull or a pelvis, as soft tissue with bones."""
    soft, bone = (Image.new("F", (SIDE, SIDE), 0.0) for _ in range(2))
    shapes = (_hand, _leg, _skull, _pelvis)[index % 4]
    shapes(ImageDraw.Draw(soft), ImageDraw.Draw(bone), draw)
    turned = float(draw.uniform(-20.0, 20.0))
    layers = []
    for layer, blur in ((soft, 6), (bone, 1)):
        grey = Image.fromarray(np.clip(np.asarray(layer.rotate(turned)) * 255, 0, 255).astype("u1"))
        layers.append(np.asarray(grey.filter(ImageFilter.GaussianBlur(blur)), np.float64) / 255)
    image = 18 + 95 * layers[0] + 130 * layers[1] * draw.uniform(0.7, 1.1)
    return np.asarray(image + 3.0 * draw.standard_normal(image.shape))


def _capsule(pen: ImageDraw.ImageDraw, start: Point, end: Point, width: float) -> None:
    pen.line((*start, *end), fill=1.0, width=round(width))
    for x, y in (start, end):
        half = width / 2
        pen.ellipse((x - half, y - half, x + half, y + half), fill=1.0)


def _hand(soft: ImageDraw.ImageDraw, bone: ImageDraw.ImageDraw, draw: Draw) -> None:
    soft.ellipse((70, 120, 190, 250), fill=1.0)
    for finger, angle in enumerate(np.linspace(-0.75, 0.55, 5)):
        start = np.array([130 + 70 * np.sin(angle), 200 - 60 * np.cos(angle)])
        way = np.array([np.sin(angle), -np.cos(angle)]) * (95, 100, 110, 105, 75)[finger]
        _capsule(soft, tuple(start), tuple(start + way), 22)
        for low, high in ((-0.55, -0.05), (0.05, 0.4), (0.47, 0.7), (0.76, 0.95)):
            ends = (tuple(start + low * way), tuple(start + high * way))
            _capsule(bone, *ends, float(draw.uniform(8, 11)))


def _leg(soft: ImageDraw.ImageDraw, bone: ImageDraw.ImageDraw, draw: Draw) -> None:
    middle = float(draw.uniform(100, 156))
    _capsule(soft, (middle, 10), (middle, 246), float(draw.uniform(90, 130)))
    _capsule(bone, (middle - 12, 5), (middle - 12, 250), float(draw.uniform(26, 36)))
    _capsule(bone, (middle + 24, 20), (middle + 20, 250), float(draw.uniform(10, 14)))


def _skull(soft: ImageDraw.ImageDraw, bone: ImageDraw.ImageDraw, draw: Draw) -> None:
    wide, tall = draw.uniform(75, 95), draw.uniform(95, 112)
    soft.ellipse((128 - wide, 120 - tall, 128 + wide, 120 + tall), fill=0.9)
    for step in range(7):  # the vault
        box = (128 - wide + step, 120 - tall + step, 128 + wide - step, 120 + tall - step)
        bone.ellipse(box, outline=0.9)
    for x in (-38, 38):
        bone.ellipse((128 + x - 22, 125, 128 + x + 22, 165), outline=0.9, width=5)
    bone.rectangle((96, 195, 160, 212), fill=0.8)


def _pelvis(soft: ImageDraw.ImageDraw, bone: ImageDraw.ImageDraw, draw: Draw) -> None:
    soft.rectangle((10, 0, 246, 256), fill=0.9)
    _capsule(bone, (128, 0), (128, 90), float(draw.uniform(34, 46)))
    for sign in (-1, 1):
        bone.ellipse((128 + sign * 62 - 45, 55, 128 + sign * 62 + 45, 150), fill=0.7)
        bone.ellipse((128 + sign * 70 - 24, 140, 128 + sign * 70 + 24, 188), fill=0.95)
        _capsule(bone, (128 + sign * 82, 170), (128 + sign * 98, 256), 26.0)
        bone.ellipse((128 + sign * 32 - 24, 178, 128 + sign * 32 + 24, 226), outline=0.9, width=9)
