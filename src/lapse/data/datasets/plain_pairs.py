"""The questions of a table of own films, from the findings of two studies or from stated changes.

A difference question joins each labelled study (main) with the one before it (reference), or with
the study that `prior` names. Its answer is the difference of their findings in the grammar of
Medical-Diff-VQA (lapse.core.grammar). Where a finding is uncertain, or labelled in one of the two
studies only, or outside the 30 and different, there is no question: its answer could be false.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property

from lapse.core.changes import QUESTION_CHANGED, UNCHANGED, Change, render
from lapse.core.types import Pair, Study
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.ms_cxr_t import CATEGORY
from lapse.data.datasets.plain_changes import StatedChanges
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_studies import PlainStudy
from lapse.metrics.expert_changes import TASK as EXPERTS

MIN_PATIENTS = 20  # from which on one patient with many pairs is unusual
MAX_PATIENT_FRACTION = 0.05

logger = logging.getLogger(__name__)


class PlainPairs:
    """Builds the pairs.

    Args:
        records: the studies and stated changes; `skipped` counts the pairs that are not made.
        images: study -> the image that represents it, of the studies that have one.
    """

    def __init__(self, records: FilmRecords, images: Mapping[str, str]) -> None:
        self.records, self.images = records, images
        self.skipped, self.outside = records.skipped, frozenset(records.info.outside)

    def read(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """One difference question per labelled study with a labelled reference, and stated pairs.

        Args:
            stored: image id -> its Study, of the images that could be read.
        """
        if not self._is_labelled and not self.records.stated:
            logger.warning(
                "no study is labelled, so the store has no difference questions: train stage 1 "
                "with it, or fill in the column 'findings' of your own table to train stage 2"
            )
        counts: Counter[str] = Counter()
        num_unchanged = 0
        for main in self.records.studies.values():
            for reference, category, answer in self._answers(main, stored):
                images = [stored[self.images[study.id]] for study in (reference, main)]
                if category in (CATEGORY, EXPERTS) and images[1].split == "train":
                    reason = f"{category} of a training patient (evaluated only)"
                    self.skipped.add(reason, f"{reference.id} -> {main.id}")
                    continue
                if category == "difference":
                    counts[main.patient] += 1
                    num_unchanged += answer == UNCHANGED
                yield Pair(
                    id=f"{main.id}/{reference.id}/{category}",
                    reference=images[0],
                    main=images[1],
                    question=QUESTION_CHANGED,
                    answer=answer,
                    category=category,
                    split=images[1].split,
                )
        _warn_about_answers(counts, num_unchanged)

    def _answers(
        self, main: PlainStudy, stored: Mapping[str, Study]
    ) -> Iterator[tuple[PlainStudy, str, str]]:
        """(reference, category, answer) of the pairs of a study: stated changes, then findings."""
        answered: set[str] = set()
        for reference, stated in self._stated.get(main.id, ()):
            if not self._has_images(reference, main, stored):
                continue
            if stated.changes is not None:
                answered.add(reference.id)
                yield reference, "difference", render(frozenset(stated.changes))
            if stated.progressions:
                words = (f"{finding}: {word}" for finding, word in stated.progressions.items())
                yield reference, CATEGORY, "; ".join(words)
            if stated.experts:
                words = (f"{label}: {state}" for label, state in stated.experts.items())
                yield reference, EXPERTS, "; ".join(words)
        before = self._reference(main) if self._is_labelled else None
        if before is None or before.id in answered:
            return
        if self._has_images(before, main, stored) and self._is_comparable(before, main):
            changes = changes_between(self._known(before.findings), self._known(main.findings))
            yield before, "difference", render(changes)

    def _reference(self, main: PlainStudy) -> PlainStudy | None:
        """The study that `prior` names, else the one before; None for the first of a patient."""
        if main.prior:
            return self.records.studies[main.prior]
        sequence = self._sequences[main.patient]
        earlier = [study for study in sequence if study.time < main.time]
        if not earlier:
            return None
        times = (earlier[-1].time, main.time)
        if sum(study.time in times for study in sequence if study is not main) > 1:
            reason = "no pair: two studies of the patient at one time (give 'order' or 'prior')"
            self.skipped.add(reason, main.id)
            return None
        return earlier[-1]

    @cached_property
    def _is_labelled(self) -> bool:
        """Whether any study has findings."""
        return any(study.findings is not None for study in self.records.studies.values())

    @cached_property
    def _stated(self) -> dict[str, list[tuple[PlainStudy, StatedChanges]]]:
        """Main study -> (reference, stated changes)."""
        by_main: dict[str, list[tuple[PlainStudy, StatedChanges]]] = {}
        for (reference, main), stated in self.records.stated.items():
            by_main.setdefault(main, []).append((self.records.studies[reference], stated))
        return by_main

    @cached_property
    def _sequences(self) -> dict[str, list[PlainStudy]]:
        """Patient -> the studies with an image, in order of time."""
        sequences: dict[str, list[PlainStudy]] = {}
        for study in sorted(self.records.studies.values(), key=lambda study: study.time):
            sequence = sequences.setdefault(study.patient, [])
            if study.id in self.images:
                sequence.append(study)
        return sequences

    def _has_images(
        self, reference: PlainStudy, main: PlainStudy, stored: Mapping[str, Study]
    ) -> bool:
        """Whether both studies have a stored image; other pairs are counted."""
        for study, role in ((main, "main"), (reference, "reference")):
            if self.images.get(study.id) not in stored:
                example = f"{reference.id} -> {main.id}"
                self.skipped.add(f"no pair: the {role} study has no stored image", example)
                return False
        return True

    def _is_comparable(self, reference: PlainStudy, main: PlainStudy) -> bool:
        """Whether the findings of two studies give an answer; other pairs are counted."""
        reason = self._obstacle(reference.findings, main.findings)
        if not reason and reference.labeller != main.labeller:
            reason = "the two studies were labelled by different methods"
        if reason:
            self.skipped.add(f"no pair: {reason}", f"{reference.id} -> {main.id}")
        return not reason

    def _obstacle(self, reference: StudyFindings | None, main: StudyFindings | None) -> str:
        """Why the findings of two studies give no answer, or ""."""
        if main is None:
            return "the main study is not labelled"
        if reference is None:
            hint = "name a labelled earlier study in 'prior'"
            return f"the reference study is not labelled ({hint})"
        if reference.uncertain or main.uncertain:
            return "a finding is uncertain (-1)"
        if reference.unlabelled != main.unlabelled:
            return "a finding is labelled in one of the two studies only"
        if self.outside & (reference.present.keys() ^ main.present.keys()):
            return "a finding outside the 30 differs"
        return ""

    def _known(self, findings: StudyFindings | None) -> dict[str, str]:
        """The findings that an answer can name."""
        present = findings.present if findings is not None else {}
        return {name: level for name, level in present.items() if name not in self.outside}


def changes_between(reference: Mapping[str, str], main: Mapping[str, str]) -> frozenset[Change]:
    """The changes from the findings of one study to those of a later one.

    Args:
        reference: finding -> level, or "" where no level is given.
        main: the same of the later study. A level changes where both studies give one.

    >>> changes_between({"edema": "mild"}, {"edema": "severe"})
    frozenset({Change(finding='edema', kind='level', before='mild', after='severe')})
    """
    changes = [Change(name, "added") for name in main if name not in reference]
    changes += [Change(name, "missing") for name in reference if name not in main]
    for name in main:
        before, after = reference.get(name, ""), main[name]
        if before and after and before != after:
            changes.append(Change(name, "level", before, after))
    return frozenset(changes)


def _warn_about_answers(counts: Counter[str], num_unchanged: int) -> None:
    """Warn if the questions teach little."""
    total = counts.total()
    if total and num_unchanged == total:
        logger.warning("all %d answers are %r: there is no change to learn", total, UNCHANGED)
    if len(counts) >= MIN_PATIENTS:
        patient, largest = counts.most_common(1)[0]
        if largest > MAX_PATIENT_FRACTION * total:
            logger.warning("patient %s has %d of %d difference questions", patient, largest, total)
