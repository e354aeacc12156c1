"""What a store holds and how it was made: the names of its files, and store.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

from lapse.data.datasets.plain_info import REMARK
from lapse.data.store.parquet import reading
from lapse.images.processing import ImageProcessing

SCHEMA = 4  # before it, not every image was equalised
FORMAT = "lapse-store"
STUDIES, PAIRS, PIXELS, INFO = "studies.parquet", "pairs.parquet", "pixels.npy", "store.json"
FILES = (STUDIES, PAIRS, PIXELS, INFO)
SPLIT_TABLE, REMOVED, UNANSWERED = "splits.csv", "removed.jsonl", "pairs-to-answer.csv"
EXTRAS = (SPLIT_TABLE, REMOVED, UNANSWERED)


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What a store says about its times and labels.

    Attributes:
        time: "dates"; "days" where `taken_at` gives true distances within a patient and no dates;
            "order" where it is unknown.
        remark: what a reader of a score needs to know about the labels.
        labelled: the findings that were looked for, () for all.
    """

    time: str = "dates"
    remark: str = ""
    labelled: tuple[str, ...] = ()


NO_LABEL_FACTS = LabelFacts()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the records of a store come from, and how they were selected.

    Attributes:
        protocol: "patient-safe" or "published".
        protocol_hash: identifies the assignment of patients to splits.
        priors: how references to earlier examinations were removed.
        source: the folders that were read, and whether they are simulated.
        resize: how images became squares, "squash" or "letterbox". Boxes are fractions of that
            square, so with "squash" fractions of the original image.
        intensity: grey values of DICOMs and of PNGs of 16 bits; every image is equalised.
        boxes: "silver" or "gold" annotations of Chest ImaGenome.
        regions: number of region names, 29 or 36.
        frontals: "first" frontal image of a study, or "all".
        subset: whether missing images were skipped.
        labels: what is said about times and labels; stores before it have dates.
    """

    protocol: str
    protocol_hash: str
    release: str
    priors: str
    source: str
    resize: str = "squash"
    intensity: str = "mimic"
    boxes: str = "silver"
    regions: int = 29
    frontals: str = "first"
    subset: bool = False
    labels: LabelFacts = NO_LABEL_FACTS


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo(Origin):
    """What a store holds and how it was made: the content of store.json.

    Attributes:
        schema: version of the layout on disk.
        size: side of the stored images in pixels.
        counts: "studies/train" and so on, "pairs/train" and so on, "patients".
        fingerprint: SHA-256 of all records and pixels, in order.
        created_by: package and version.
    """

    schema: int
    size: int
    counts: dict[str, int]
    fingerprint: str
    created_by: str

    @property
    def processing(self) -> ImageProcessing:
        """How the images were resized and scaled."""
        return ImageProcessing(self.resize, self.intensity)

    @property
    def description(self) -> str:
        """The data in a few words, such as "simulated patients, data 3da8d3b9342d"."""
        kind = "simulated patients" if self.source.startswith("simulated") else "patients"
        return f"{kind}, data {self.fingerprint[:12]}"

    def provenance(self) -> dict[str, str]:
        """The facts that are reported with every score computed from this store."""
        images = f"{self.size} px {self.processing}, {self.frontals} frontal image of a study"
        if self.subset:
            images += ", without missing images"
        labels = {REMARK: self.labels.remark} if self.labels.remark else {}
        if self.labels.labelled:
            labels["labelled findings"] = ", ".join(self.labels.labelled)
        return {
            **labels,
            "data release": self.release,
            "data source": self.source,
            "split protocol": f"{self.protocol} {self.protocol_hash}",
            "priors removed by": self.priors,
            "images": images,
            "boxes": f"{self.boxes}, {self.regions} regions",
            "data fingerprint": self.fingerprint[:16],
        }


def read_info(path: Path) -> StoreInfo:
    """Read store.json.

    Raises:
        ValueError: it is damaged, of another program, or of another schema.
    """
    with reading(path):
        values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"{path} belongs to another program: give a folder made by prepare")
    if values.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} has schema {values.get('schema')} and this version reads {SCHEMA}: run "
            "prepare again"
        )
    expected = {field.name for field in fields(StoreInfo)}
    needed = expected - {"labels"}
    if not needed <= values.keys() <= expected:
        differing = ", ".join(sorted((needed - values.keys()) | (values.keys() - expected)))
        raise ValueError(f"{path} lacks or adds {differing}: run prepare again")
    labels = values.pop("labels", {})
    try:
        return StoreInfo(
            **values, labels=LabelFacts(**{**labels, "labelled": tuple(labels.get("labelled", ()))})
        )
    except TypeError as error:
        raise ValueError(f"{path} is damaged ({error}): run prepare again") from error
