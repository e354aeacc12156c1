"""The columns of the table of cross-sections over height that volumes.soft_tissue reads."""

from __future__ import annotations

from enum import IntEnum


class Column(IntEnum):
    """Columns of the table; R and L are the patient's right and left."""

    BODY_W = 0
    BODY_D = 1
    BODY_Y = 2
    CAVITY_R = 3
    CAVITY_L = 4
    CAVITY_D = 5
    CAVITY_Y = 6
    MIDDLE = 7
    MEDIASTINUM_R = 8
    MEDIASTINUM_L = 9
    MEDIASTINUM_D = 10
    MEDIASTINUM_Y = 11
    AORTA_X = 12
    AORTA_R = 13
    SPINE_X = 14
    SPINE_R = 15
    FLUID_R = 16  # gap in mm, filled with fluid or scar
    FLUID_L = 17
    AIR_R = 18  # gap in mm, filled with air
    AIR_L = 19
    BACK_R = 20  # fluid that lies at the back only
    BACK_L = 21
    END = 22
