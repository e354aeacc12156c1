"""A simulated PadChest: the table of 36 columns and PNGs of 16 bits.

OUT/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz
OUT/<ImageDir>/<ImageID>

As in the release: an empty first header, ids of 35 to 51 characters, `AP_horizontal`, lateral
films, labels as a printed list with blanks around some names, empty names, reports without labels
or with "unchanged" only, two methods of labelling, two studies on one day, stems as reports.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_index, derive_seed
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.release_films import digits, earlier_visit, pixels16, write_png
from lapse.phantom.dataset.release_tree import Cell, SimulatedFilm, simulated_patients, write_csv
from lapse.phantom.patients.findings import difference, levels
from lapse.phantom.patients.state import Visit

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
HEADER = (
    "", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth",
    "PatientSex_DICOM", "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric",
    "Modality_DICOM", "Manufacturer_DICOM", "PhotometricInterpretation_DICOM",
    "PixelRepresentation_DICOM", "PixelAspectRatio_DICOM", "SpatialResolution_DICOM",
    "BitsStored_DICOM", "WindowCenter_DICOM", "WindowWidth_DICOM", "Rows_DICOM", "Columns_DICOM",
    "XRayTubeCurrent_DICOM", "Exposure_DICOM", "ExposureInuAs_DICOM", "ExposureTime",
    "RelativeXRayExposure_DICOM", "ReportID", "Report", "MethodLabel", "Labels", "Localizations",
    "LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS",
)  # fmt: skip
# finding -> the names that the labels of PadChest have for it
NAMES = {
    "pleural effusion": ("pleural effusion", "loculated pleural effusion"),
    "atelectasis": ("laminar atelectasis", "atelectasis", "volume loss"),
    "cardiomegaly": ("cardiomegaly",),
    "edema": ("pulmonary edema",),
    "hernia": ("hiatal hernia",),
    "hilar congestion": ("hilar congestion",),
    "pneumothorax": ("pneumothorax",),
    "heart failure": ("heart insufficiency",),
    "lung opacity": ("infiltrates", "alveolar pattern", "increased density"),
    "pneumonia": ("pneumonia", "atypical pneumonia"),
    "tortuosity of the thoracic aorta": ("aortic elongation",),
    "scoliosis": ("scoliosis",),
    "emphysema": ("emphysema",),
    "granuloma": ("calcified granuloma", "granuloma"),
    "calcification": ("calcified densities",),
    "pleural thickening": ("apical pleural thickening", "pleural thickening"),
    "blunting of the costophrenic angle": ("costophrenic angle blunting",),
    "consolidation": ("consolidation",),
    "fracture": ("rib fracture",),
}
# what is outside the 30 findings; gastric distention has no name
OUTSIDE = {
    "vascular congestion": "vascular redistribution",
    "endotracheal tube": "endotracheal tube",
    "nasogastric tube": "NSG tube",
    "pacemaker": "pacemaker",
    "sternal wires": "sternotomy",
}
METHODS = ("RNN_model", "RNN_model", "RNN_model", "Physician")
KEY = "phantom/padchest"


def write_padchest_tree(
    out: Path, config: SimulateConfig, progress: Progress = no_progress
) -> None:
    """Write the tree.

    Raises:
        ValueError: the folder has files in it, or an option is out of range.
    """
    rows: list[tuple[Cell, ...]] = []
    for films in simulated_patients(out, config, progress):
        for film in films:
            for row in _rows(config.seed, film, out):
                rows.append((len(rows), *row))
    plain = (out / TABLE).with_suffix("")
    write_csv(plain, ",".join(HEADER), rows)
    with (out / TABLE).open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(plain.read_bytes())
    plain.unlink()


def patient_id(seed: int, patient: int) -> str:
    """35 to 39 digits."""
    return digits(35 + derive_index(5, seed, KEY, "length", patient), seed, KEY, patient)


def study_id(seed: int, patient: int, visit: int) -> str:
    """39 to 45 characters; some have a hyphen or an underscore among the digits."""
    key = (seed, KEY, "study", patient, visit)
    text = digits((39, 45)[derive_index(2, *key, "length")], *key)
    mark = ("-", "_", "", "", "", "", "", "")[derive_index(8, *key, "mark")]
    return f"{text[:20]}{mark}{text[20:]}"


def label_names(seed: int, visit: Visit) -> list[str]:
    """The labels of a visit, findings and what is outside them."""
    names = [
        NAMES[finding][derive_index(len(NAMES[finding]), seed, KEY, visit.patient, finding)]
        for finding in levels(visit)
        if finding in NAMES
    ]
    others = (*levels(visit), *(device.name for device in visit.devices))
    names += [OUTSIDE[name] for name in others if name in OUTSIDE]
    return names or ["normal"]


def _rows(seed: int, film: SimulatedFilm, out: Path) -> Iterator[tuple[Cell, ...]]:
    """The rows of a study, and their images."""
    visit, acquisition = film.exposure.visit, film.exposure.acquisition
    patient, key = visit.patient, (seed, KEY, visit.patient, visit.index)
    study = study_id(seed, patient, visit.index)
    projection = "PA" if acquisition.view == "PA" else "AP"
    if projection == "AP" and acquisition.is_supine:
        projection = "AP_horizontal"
    projections = [projection, *(["L"] if not derive_index(4, *key, "lateral") else [])]
    day = visit.taken_at
    if visit.index and visit.index + 1 == len(film.history.exposures) and patient % 8 == 5:
        day = film.history.exposures[visit.index - 1].visit.taken_at  # two studies on one day
    labels = _labels(seed, film)
    for number, name in enumerate(projections):
        image = f"{study}_{derive_seed(*key, name) % 36**5:06d}.png"
        folder = str(derive_index(3, *key, "folder"))
        pixels = pixels16(film) if not number else pixels16(film)[:, ::-1]
        write_png(out / folder / image, pixels)
        yield (
            image, folder, f"{day:%Y%m%d}", study, patient_id(seed, patient),
            f"{1930 + derive_index(60, *key[:3], 'birth')}.0", film.history.person.sex,
            "POSTEROANTERIOR" if name == "PA" else "nan", name, "Manual review of DICOM fields",
            "No", "CR", "Phantom", "MONOCHROME2", 0, "None", "None", 12, 2048, 4096,
            *pixels.shape, 250, 2, 2500, 10, -1.4, digits(7, *key, "report"),
            " sin hallazg .", _method(seed, visit), labels, "[]", "[]", "[]", "[]",
        )  # fmt: skip


def _method(seed: int, visit: Visit) -> str:
    """Who labelled a study: one method for most studies of a patient."""
    index = derive_index(len(METHODS), seed, KEY, visit.patient, "method")
    if not derive_index(8, seed, KEY, visit.patient, visit.index, "other method"):
        index += 1
    return METHODS[index % len(METHODS)]


def _labels(seed: int, film: SimulatedFilm) -> str:
    """The printed list, with what makes it hard to read."""
    visit = film.exposure.visit
    key = (seed, KEY, visit.patient, visit.index)
    if not derive_index(25, *key, "nan"):
        return "nan"
    names = label_names(seed, visit)
    if visit.index and not derive_index(4, *key, "unchanged"):
        before = earlier_visit(film)
        if before is not None and not difference(before, visit):
            return "['unchanged']"
    if not derive_index(5, *key, "blanks"):
        names = [f" {name} " for name in names]
    if not derive_index(9, *key, "empty"):
        names.append("")
    return str(names)
