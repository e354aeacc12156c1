"""Six rows written by hand, in the plain layout, with films rendered by the phantom."""

from pathlib import Path

import numpy as np
from PIL import Image

from lapse.data.datasets.discovery import TableRoots, find_table_roots
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.rendering.render import render

SIX_ROWS = """\
image,patient,study,order,view,split,findings,prior,report
a/1.png,H001,S1,1,AP,train,pleural effusion=small|cardiomegaly,,A small effusion. Large heart.
a/2.png,H001,S2,2,AP,train,pleural effusion=moderate|atelectasis,,A moderate effusion.
a/3.png,H001,S3,3,PA,train,none,S1,The lungs are clear.
b/1.png,H002,S4,1,PA,test,pneumothorax=small,,A small pneumothorax.
b/2.png,H002,S5,2,AP,test,,,
b/3.png,H002,S6,3,PA,test,pneumothorax=small,S4,A small pneumothorax.
"""
BOXES = """\
image,region,phrase,x_min,y_min,x_max,y_max
a/1.png,left lung,There is a small effusion.,44,16,70,80
a/1.png,cardiac silhouette,The heart is large.,30,40,66,72
a/1.png,cardiac silhouette,The heart is wide.,30,40,66,72
a/2.png,left lung,There is a moderate effusion.,44,16,70,80
b/1.png,right lung,There is a pneumothorax.,10,16,44,80
b/1.png,right lung,There is a second one.,12,20,40,60
"""
SIDE = 96


def write_table(folder: Path, text: str = SIX_ROWS, boxes: str = "") -> TableRoots:
    """The tables and an empty folder of images."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    table = folder / "films.csv"
    table.write_text(text, "utf-8")
    if boxes:
        (folder / "boxes.csv").write_text(boxes, "utf-8")
    return find_table_roots(table, folder / "images")


def render_film(patient: int, visit: int, size: int = SIDE) -> np.ndarray:
    """One visit of a simulated patient. # [H, W] uint8"""
    config = SimulateConfig(patients=2, seed=3, size=size, visits=(3, 3))
    history = draw_history(config, patient, CohortRole("train", "coarse"))
    exposure = history.exposures[visit]
    return render(history.person, exposure.visit, exposure.acquisition, size).image


def write_films(folder: Path, text: str = SIX_ROWS, boxes: str = BOXES) -> TableRoots:
    """The tables and six rendered films."""
    roots = write_table(folder, text, boxes)
    for patient, name in enumerate("ab"):
        (folder / "images" / name).mkdir()
        for visit in range(3):
            image = Image.fromarray(render_film(patient, visit))
            image.save(folder / "images" / name / f"{visit + 1}.png")
    return roots
