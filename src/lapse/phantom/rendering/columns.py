"""The columns of the table of cross-sections over height, which volumes.soft_tissue reads."""

from __future__ import annotations

from enum import IntEnum


class Column(IntEnum):
    """Columns of the table in mm. _R and _L are the patient's right and left; _W half widths,
    _D half depths, _X and _Y positions of the centre."""

    BODY_W = 0
    BODY_D = 1
    BODY_Y = 2
    CAVITY_R = 3  # half width of the chest cavity on the right
    CAVITY_L = 4
    CAVITY_D = 5
    CAVITY_Y = 6
    MIDDLE = 7  # x of the midline
    MEDIASTINUM_R = 8
    MEDIASTINUM_L = 9
    MEDIASTINUM_D = 10
    MEDIASTINUM_Y = 11
    AORTA_X = 12
    AORTA_R = 13  # radius
    SPINE_X = 14
    SPINE_R = 15  # radius
    FLUID_R = 16  # width of the pleural space with fluid or scar
    FLUID_L = 17
    AIR_R = 18  # width of the pleural space with air
    AIR_L = 19
    BACK_R = 20  # depth of fluid that layers posteriorly
    BACK_L = 21
    SHIFT = 22  # of the mediastinum to the left, while the cavity stays
    END = 23
