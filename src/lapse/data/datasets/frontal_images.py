"""The PA and AP images of MIMIC-CXR's metadata table in flat columns, and which are read.

    number     0 1 2 ...     frontal images in the order of the table
    standing   study -> the image that stands for it
    kept       the standing images, and further ones where they are asked for

An image costs about 140 bytes. A Study is built when it is asked for, without its report.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from lapse.core.types import Study
from lapse.data.io.compact_maps import CompactIntMap, Names, Texts

VIEWS = ("PA", "AP")
_EPOCH = datetime(1, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Frontal:
    """A PA or AP image: one row of the metadata table. `size` is (height, width) or None."""

    dicom: str
    patient: str
    study: str
    view: str
    taken_at: datetime
    size: tuple[int, int] | None


class Frontals:
    """Every frontal image of the table.

    Attributes:
        dicoms: number -> dicom_id.
        num_rows: rows of the metadata table, of any view.
    """

    def __init__(self) -> None:
        self.dicoms = Texts()
        self.num_rows = 0
        self._numbers = CompactIntMap()
        self._patients, self._studies = Names(), Names()
        self._patient_of, self._study_of = array("i"), array("i")
        self._views, self._is_kept = array("b"), array("b")
        self._times = array("q")
        self._heights, self._widths = array("i"), array("i")
        self._standing = array("i")  # by study
        self._has_others = array("b")  # by study: images that are neither PA nor AP

    def __len__(self) -> int:
        return len(self.dicoms)

    def add(self, frontal: Frontal, is_named: bool) -> None:
        """The next row that is PA or AP; a named one takes its study from the image before."""
        number = len(self)
        self.dicoms.append(frontal.dicom)
        self._numbers.add(frontal.dicom, number)
        study = self._study(frontal.study)
        self._patient_of.append(self._patients.number(frontal.patient))
        self._study_of.append(study)
        self._views.append(VIEWS.index(frontal.view))
        self._times.append((frontal.taken_at - _EPOCH) // _MICROSECOND)
        height, width = frontal.size or (0, 0)
        self._heights.append(height)
        self._widths.append(width)
        before = self._standing[study]
        is_standing = before == _NOBODY or is_named
        self._is_kept.append(is_standing)
        if is_standing:
            self._standing[study] = number
            if before != _NOBODY:
                self._is_kept[before] = False

    def note_other(self, study: str) -> None:
        """A row of this study that is neither PA nor AP."""
        self._has_others[self._study(study)] = True

    def keep(self, number: int) -> None:
        """Read this image too, though another one stands for its study."""
        self._is_kept[number] = True

    def kept(self) -> Iterator[int]:
        """The images to read, in the order of the table."""
        return (number for number, is_kept in enumerate(self._is_kept) if is_kept)

    def further(self) -> Iterator[int]:
        """The images that are not kept."""
        return (number for number, is_kept in enumerate(self._is_kept) if not is_kept)

    @property
    def num_kept(self) -> int:
        """How many images are read."""
        return sum(self._is_kept)

    def standing(self, study: str) -> int | None:
        """The image that stands for a study, None where the study has no frontal image."""
        known = self._studies.find(study)
        number = _NOBODY if known is None else self._standing[known]
        return None if number == _NOBODY else number

    def number(self, dicom: str) -> int | None:
        """The first image of that name, None where there is none."""
        return self._numbers.get(dicom)

    def study(self, number: int, split: str) -> Study:
        """The Study of an image, without report and regions."""
        dicom = self.dicoms[number]
        return Study(
            id=dicom,
            study=self._studies[self._study_of[number]],
            patient=self._patients[self._patient_of[number]],
            image=dicom,
            view=VIEWS[self._views[number]],
            split=split,
            taken_at=_EPOCH + self._times[number] * _MICROSECOND,
            report="",
            regions=(),
        )

    def size(self, number: int) -> tuple[int, int] | None:
        """Height and width of an image as the table tells them."""
        height, width = self._heights[number], self._widths[number]
        return (height, width) if height and width else None

    def without_frontal(self) -> Iterator[str]:
        """Studies that have images and none that is PA or AP."""
        for study, number in enumerate(self._standing):
            if number == _NOBODY and self._has_others[study]:
                yield self._studies[study]

    def ties(self) -> Iterator[tuple[str, str]]:
        """(first, other) studies of one patient at the very same time."""
        standing = np.array([number for number in self._standing if number != _NOBODY], np.int64)
        if not standing.size:
            return
        times = np.frombuffer(self._times, np.int64)[standing]
        patients = np.frombuffer(self._patient_of, np.int32)[standing]
        order = np.lexsort((np.arange(standing.size), times, patients))
        is_new = (np.diff(times[order]) != 0) | (np.diff(patients[order]) != 0)
        starts = np.concatenate([[0], np.flatnonzero(is_new) + 1])
        firsts = order[starts[np.searchsorted(starts, np.arange(order.size), side="right") - 1]]
        tied = sorted((int(o), int(f)) for f, o in zip(firsts, order, strict=True) if f != o)
        for other, first in tied:
            yield self._study_name(standing[first]), self._study_name(standing[other])

    def _study_name(self, number: np.int64) -> str:
        return self._studies[self._study_of[int(number)]]

    def _study(self, name: str) -> int:
        study = self._studies.number(name)
        if study == len(self._standing):
            self._standing.append(_NOBODY)
            self._has_others.append(False)
        return study


class Sizes(Mapping[str, tuple[int, int]]):
    """dicom_id -> (height, width), of the frontal images whose size the table tells."""

    def __init__(self, frontals: Frontals) -> None:
        self._frontals = frontals

    def __getitem__(self, dicom: str) -> tuple[int, int]:
        number = self._frontals.number(dicom)
        size = None if number is None else self._frontals.size(number)
        if size is None:
            raise KeyError(dicom)
        return size

    def __iter__(self) -> Iterator[str]:
        frontals = self._frontals
        numbers = (number for number in range(len(frontals)) if frontals.size(number))
        return (frontals.dicoms[number] for number in numbers)

    def __len__(self) -> int:
        return sum(1 for _ in self)
