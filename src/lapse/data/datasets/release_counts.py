"""The number of rows of the published releases, to compare with the rows of a copy.

MIMIC-CXR-JPG 2.0.0 and 2.1.0 (Johnson et al. 2019), Chest ImaGenome 1.0.0 (Wu et al. 2021),
Medical-Diff-VQA 1.0.0 and 1.0.1 (Hu et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIMIC_CXR = "MIMIC-CXR"
IMAGENOME = "Chest ImaGenome"
DIFF_VQA = "Medical-Diff-VQA"

PUBLISHED: Mapping[tuple[str, str], int] = {
    (MIMIC_CXR, "images"): 377_110,
    (MIMIC_CXR, "studies"): 227_835,
    (MIMIC_CXR, "patients"): 65_379,
    (IMAGENOME, "train"): 166_521,
    (IMAGENOME, "valid"): 23_953,
    (IMAGENOME, "test"): 47_393,
    (IMAGENOME, "images_to_avoid"): 3_821,
    (IMAGENOME, "scene graphs"): 242_072,
    (IMAGENOME, "gold boxes"): 25_989,
    (DIFF_VQA, "questions"): 700_703,
    (DIFF_VQA, "abnormality"): 145_421,
    (DIFF_VQA, "presence"): 155_726,
    (DIFF_VQA, "view"): 56_265,
    (DIFF_VQA, "location"): 84_193,
    (DIFF_VQA, "level"): 67_296,
    (DIFF_VQA, "type"): 27_478,
    (DIFF_VQA, "difference"): 164_324,
    (DIFF_VQA, "mimic_all"): 227_827,
}
UNCERTAIN = {(IMAGENOME, "scene graphs")}  # a difference is shown, but not an error


@dataclass(frozen=True, slots=True)
class RowCount:
    """The rows of one table. `num_published` is None where there is nothing to compare with."""

    dataset: str
    table: str
    num_rows: int
    num_published: int | None
    is_certain: bool = True

    @property
    def differs(self) -> bool:
        """Whether the count is an error."""
        is_other = self.num_published is not None and self.num_rows != self.num_published
        return self.is_certain and is_other

    @property
    def verdict(self) -> str:
        """The comparison in words."""
        if self.num_published is None:
            return ""
        if self.num_rows == self.num_published:
            return "as published"
        return "differs" if self.is_certain else "differs (published number uncertain)"


def compare_with_published(
    counts: Mapping[tuple[str, str], int], *, has_published: bool
) -> tuple[RowCount, ...]:
    """Each count with that of the release, in the order of `PUBLISHED`.

    Args:
        counts: (dataset, table) -> rows.
        has_published: False for simulated trees and subsets, which have no published counts.
    """
    order = {key: position for position, key in enumerate(PUBLISHED)}
    keys = sorted(counts, key=lambda key: (order.get(key, len(order)), key))
    published = PUBLISHED if has_published else {}
    return tuple(
        RowCount(*key, counts[key], published.get(key), key not in UNCERTAIN) for key in keys
    )
