"""Options and report of `prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lapse.core.annotation_names import REGION_SETS
from lapse.core.types import nearest
from lapse.data.datasets.mimic_cxr import FRONTALS
from lapse.data.datasets.splits import PROTOCOLS
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.prior_removal import PRIORS
from lapse.images import INTENSITIES, RESIZES, ImageProcessing

CHOICES = {
    "protocol": PROTOCOLS,
    "resize": RESIZES,
    "intensity": ("", *INTENSITIES),
    "boxes": ("silver", "gold"),
    "regions": tuple(REGION_SETS),
    "frontals": FRONTALS,
}


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How raw datasets become a store.

    Attributes:
        size: side of the stored images in pixels.
        protocol: how three disagreeing splits are combined; see `lapse.data.datasets.splits`.
        priors: how references to earlier examinations are removed from reports and phrases.
        resize: "squash" as in the paper, or "letterbox", which keeps proportions.
        intensity: one of INTENSITIES (`ImageProcessing`), "" for the default of the data set:
            "percentile" for PadChest, otherwise "mimic".
        boxes: "silver", or "gold" for a store of the manually annotated images, to evaluate on;
            it holds no pairs.
        regions: "29" region names as in the paper, or all "36" that have boxes.
        frontals: the "first" PA or AP image of a study, as in Medical-Diff-VQA, or "all".
        is_subset: the raw data is a part of a release. Missing images are skipped, and sources may
            deliver less than half of what they should; otherwise both are errors.
        workers: processes that make shards; 0 makes them in this process, which a crashing image
            decoder would end.
        dask: the address of a Dask scheduler whose workers make the shards, "local" for `workers`
            Dask processes of this machine, or "" for processes without Dask.
        shard: (i, n) makes only every n-th shard, starting at the i-th (from 1), and no store.
        shard_size: studies per shard.
    """

    size: int
    protocol: str = "patient-safe"
    priors: str = "rules"
    resize: str = "squash"
    intensity: str = ""
    boxes: str = "silver"
    regions: str = "29"
    frontals: str = "first"
    is_subset: bool = False
    workers: int = 0
    dask: str = ""
    shard: tuple[int, int] | None = None
    shard_size: int = 1024

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"images of {self.size} pixels: the size is at least 1")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"unknown {name} {value!r}; {nearest(value, choices)}")
        if self.priors not in PRIORS and not self.priors.startswith("classifier:"):
            choices = (*PRIORS, "classifier:/folder")
            raise ValueError(
                f"unknown removal of priors {self.priors!r}; {nearest(self.priors, choices)}"
            )
        if self.workers < 0:
            raise ValueError(f"{self.workers} workers: 0 or more")
        if self.dask == "local" and not self.workers:
            raise ValueError("Dask with 0 local processes: at least 1 makes shards")
        if self.dask and self.shard is not None:
            raise ValueError(
                f"shard {self.shard[0]} of {self.shard[1]} with Dask, which divides all shards "
                "among its workers: use one of the two"
            )
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ValueError(f"shard {self.shard[0]} of {self.shard[1]}: needs 1 <= i <= n")
        if self.shard_size < 1:
            raise ValueError(f"shards of {self.shard_size} studies: at least 1")

    @property
    def processing(self) -> ImageProcessing:
        """How the images are resized and scaled."""
        return ImageProcessing(self.resize, self.intensity or INTENSITIES[0])


@dataclass(slots=True)
class PrepareReport:
    """What was read, kept, skipped and noted.

    Attributes:
        read: "images" and "questions" in the raw tables.
        kept: the counts of the store, "studies/train" and so on, and "patients".
        skipped: records that are not in the store, by dataset and reason.
        noted: anomalies of records that are in the store.
        leaked_patients: patients whom the published splits both train and evaluate on; none of
            them leaks under patient-safe.
        num_shards: shards of the complete store; `num_made` of them were made by this run.
        images_per_second: decoding, resizing and writing, of all workers together; 0 if all
            shards existed already.
    """

    protocol: str
    protocol_hash: str = ""
    release: str = ""
    read: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    skipped: SkipLog = field(default_factory=SkipLog)
    noted: SkipLog = field(default_factory=SkipLog)
    leaked_patients: int = 0
    num_shards: int = 0
    num_made: int = 0
    images_per_second: float = 0.0

    def lines(self) -> list[str]:
        """The report as plain text, one fact per line."""
        fate = "kept apart" if self.protocol == "patient-safe" else "LEAKED"
        return [
            f"read     {_counts(self.read)}",
            f"kept     {_counts(self.kept)}",
            f"releases {self.release}",
            f"protocol {self.protocol} {self.protocol_hash}",
            f"leak     {self.leaked_patients} patients are in training and in evaluation parts of "
            f"the published splits: {fate}",
            f"shards   {self.num_made} of {self.num_shards} made by this run",
            f"speed    {self.images_per_second:.1f} images/s",
            f"skipped  {self.skipped.total}",
            *(f"  {line}" for line in self.skipped.lines()),
            f"noted    {self.noted.total}",
            *(f"  {line}" for line in self.noted.lines()),
        ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
