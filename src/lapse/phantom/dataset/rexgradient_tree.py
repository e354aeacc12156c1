"""A simulated ReXGradient-160K: three JSON files of studies, and unpacked PNGs.

OUT/metadata/{train,valid,test}_metadata_view_position.json
OUT/deid_png/<patient>/<accession>/studies/1/series/1/instances/1.png

As in the release: views as free text in a list that may be shorter than that of the images, paths
that begin with ../deid_png/, "None" as a text, dates as numbers, lateral images first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lapse.core.files import write_text
from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_index
from lapse.phantom.dataset.chexpert_plus_tree import report_sections
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.release_films import digits, write_png
from lapse.phantom.dataset.release_tree import SimulatedFilm, simulated_patients

FOLDER, IMAGES = "metadata", "deid_png"
PARTS = {"train": "train", "validate": "valid", "test": "test"}
WORDS = {"PA": ("PA", "POSTERO_ANTERIOR"), "AP": ("AP", "AP", "AP (KUB)")}
KEY = "phantom/rexgradient"


def write_rexgradient_tree(
    out: Path, config: SimulateConfig, progress: Progress = no_progress
) -> None:
    """Write the tree.

    Raises:
        ValueError: the folder has files in it, or an option is out of range.
    """
    parts: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in PARTS.values()}
    for films in simulated_patients(out, config, progress):
        for film in films:
            study, entry = _entry(config, film, out)
            parts[PARTS[film.history.role.split]][study] = entry
    (out / FOLDER).mkdir()
    for name, studies in parts.items():
        path = out / FOLDER / f"{name}_metadata_view_position.json"
        write_text(path, json.dumps(studies, indent=1) + "\n")


def _entry(config: SimulateConfig, film: SimulatedFilm, out: Path) -> tuple[str, dict[str, Any]]:
    visit, person = film.exposure.visit, film.history.person
    key = (config.seed, KEY, visit.patient, visit.index)
    patient = f"GRDN{digits(12, config.seed, KEY, visit.patient)}"
    accession = f"GRDN{digits(10, *key)}"
    base = f"{patient}/{accession}/studies/1/series/1/instances"
    choices = WORDS[film.exposure.acquisition.view]
    words = [choices[derive_index(len(choices), *key, "view")]]
    if not derive_index(3, *key, "lateral"):
        words.insert(0, ("LATERAL", "LL")[derive_index(2, *key, "word")])
    paths = [f"{base}/{number}.png" for number in range(1, len(words) + 1)]
    for number, path in enumerate(paths, start=1):
        is_frontal = number == len(words)
        pixels = film.rendered.image if is_frontal else film.rendered.image[:, ::-1]
        write_png(out / IMAGES / path, pixels)
    if not derive_index(12, *key, "short"):
        words = words[:-1]
    findings, impression = report_sections(config, film)
    entry = {
        "StudyInstanceUid": f"1.2.{digits(9, *key, 'uid')}",
        "PatientID": patient,
        "AccessionNumber": accession,
        "StudyDate": int(f"{visit.taken_at:%Y%m%d}"),
        "PatientSex": person.sex,
        "PatientAge": f"{person.age:03d}Y",
        "Indication": "Cough.",
        "Comparison": "None" if not visit.index else "Prior radiograph.",
        "Findings": findings,
        "Impression": impression or "None",
        "ImagePath": [f"../{IMAGES}/{path}" for path in paths],
        "ImageViewPosition": words,
        "ImageModality": ["DX"] * len(paths),
    }
    return f"{patient}_{accession}", entry
