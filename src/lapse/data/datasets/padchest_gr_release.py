"""PadChest-GR: 4,555 studies whose sentences have boxes, and progressions since a prior study.

    ROOT/grounded_reports_20240819.json, master_table.csv[.zip]    lapse.data.datasets.padchest_gr
    ROOT/Padchest_GR_files/PadChest_GR.zip.001 ...                 or PadChest_GR/*.png, unpacked
    ROOT/PadChest_GR_progression_prior_studies/*.zip.001 ...       the prior images
    ROOT/PADCHEST_chest_x_ray_images_labels_160K_*.csv[.gz]        optional: dates of the priors

The boxes of the first reader have their sentences as phrases. The region is the location where
that is one of the 36 names, otherwise "finding: <label>". Progressions are questions of the
category "progression", which are evaluated and never trained on; the release has no set of labels
from which a difference could be stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path

from lapse.core.annotation_names import REGION_SETS
from lapse.core.types import FINDING_BOX
from lapse.data.datasets.discovery import ReleaseRoots
from lapse.data.datasets.film_records import FilmRecords
from lapse.data.datasets.packed_images import PackedImages
from lapse.data.datasets.padchest import TABLE, PadChestRow, read_padchest
from lapse.data.datasets.padchest_gr import (
    LANGUAGES,
    REPORTS,
    GroundedStudy,
    Sentence,
    read_grounded,
    valid_box,
)
from lapse.data.datasets.padchest_gr_agreement import reader_agreement
from lapse.data.datasets.padchest_gr_master import StudyFacts, find_master, read_master
from lapse.data.datasets.padchest_labels import FINDING_OF
from lapse.data.datasets.padchest_release import IMAGE_FOLDERS as PADCHEST_FOLDERS
from lapse.data.datasets.padchest_release import LICENCE, PREFIX
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_changes import StatedChanges
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.plain_studies import group_studies
from lapse.data.datasets.release import Release, check_one_split, row_defects
from lapse.data.io.csv_tables import matching_tables
from lapse.data.io.skip_log import SkipLog

PRIORS = "PadChest_GR_progression_prior_studies"
IMAGE_FOLDERS = (
    "Padchest_GR_files",
    "Padchest_GR_files/*",
    "PadChest_GR",
    PRIORS,
    f"{PRIORS}/*",
    *PADCHEST_FOLDERS,
)


class PadChestGr(Release):
    """The release; the number of its films and priors together is not published."""

    title = "PadChest-GR"
    licence = LICENCE
    prefix = PREFIX
    remark = "progressions of single findings between two films, by radiologists; evaluated only"
    intensity = "percentile"
    languages = LANGUAGES

    def find(self, folder: Path) -> tuple[Path, ...]:
        """The reports and the master table, and the table of PadChest if it is there."""
        reports = sorted(folder.glob(REPORTS))
        master = find_master(folder)
        if not reports or master is None:
            return ()
        return (reports[-1], master, *matching_tables(folder, TABLE)[:1])

    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films of the studies and of their priors.

        Raises:
            ValueError: a table cannot be used, or a patient is in two splits.
        """
        reports, master, *_ = roots.tables
        facts, grounded = read_master(master), read_grounded(reports)
        check_one_split(_splits(facts), master.name)
        skipped, noted = SkipLog(), SkipLog()
        for study in grounded:
            if study.study not in facts:
                skipped.add("study that the master table lacks", study.study)
        source = _Source.open(roots, grounded, facts, noted)
        priors = dict(_priors(source, skipped))
        films = _films(source, priors)
        paths = {film.study: film.image for film in films}
        language = f"sentences in {roots.language}"
        notes = ("splits of the master table", language, reader_agreement(source.studies))
        return FilmRecords(
            self.info(),
            group_studies(films),
            dict(_splits(facts)),
            boxes=tuple(_boxes(source, paths, skipped)),
            stated=dict(_stated(source.studies, priors, skipped)),
            notes=tuple(filter(None, notes)),
            skipped=skipped,
            noted=noted,
        )

    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """Ids, studies without facts, boxes, priors, patients in two splits, parts of archives."""
        reports, master, *_ = roots.tables
        problems: list[ValueError] = []
        facts = read_master(master, on_error=problems.append)
        studies = read_grounded(reports, on_error=problems.append)
        source = _Source.open(roots, studies, facts, SkipLog())
        yield from row_defects(problems)
        yield from self.split_defects(_splits(facts))
        yield from (("damaged-parts", problem) for problem in source.images.problems)
        for study in studies:
            if study.study not in facts:
                yield "study-without-facts", study.study
            yield from _box_defects(study)
            if code := source.prior_problem(study):
                yield code, study.study


@dataclass(frozen=True, slots=True)
class _Source:
    """The opened files.

    Attributes:
        studies: those of the reports that have facts.
        known: image -> its row in the table of PadChest, if that is there.
    """

    table: str
    studies: tuple[GroundedStudy, ...]
    facts: Mapping[str, StudyFacts]
    known: Mapping[str, PadChestRow]
    images: PackedImages
    language: str

    @classmethod
    def open(
        cls,
        roots: ReleaseRoots,
        studies: Sequence[GroundedStudy],
        facts: Mapping[str, StudyFacts],
        noted: SkipLog,
    ) -> _Source:
        """Read the table of PadChest and list the images."""
        names = {name for study in studies for name in (study.image, study.previous_image) if name}
        rows = (row for path in roots.tables[2:] for row in read_padchest(path))
        return cls(
            roots.table.name,
            tuple(study for study in studies if study.study in facts),
            facts,
            {row.id: row for row in rows if row.id in names},
            PackedImages(roots.folder, IMAGE_FOLDERS, noted),
            roots.language,
        )

    def prior_problem(self, study: GroundedStudy) -> str:
        """The defect of the prior of a study, "" if there is none, or no prior."""
        if not study.previous_image or study.study not in self.facts:
            return ""
        this = self.facts[study.study]
        listed = (self.facts.get(study.previous_study), self.known.get(study.previous_image))
        for prior in listed:
            if prior is not None and prior.patient != this.patient:
                return "prior-two-patients"
            if prior is not None and prior.date is not None and prior.date > this.date:
                return "prior-later"
        is_there = self.images.path(study.previous_image) is not None
        return "" if is_there or self.images.problems else "prior-missing"


def _splits(facts: Mapping[str, StudyFacts]) -> Iterator[tuple[str, str]]:
    return ((item.patient, item.split) for item in facts.values())


def _priors(source: _Source, skipped: SkipLog) -> Iterator[tuple[str, FilmRow]]:
    """Study -> its prior, of the priors that can be used; others are counted."""
    for study in source.studies:
        if not study.previous_image:
            continue
        problem = source.prior_problem(study)
        if problem or source.images.path(study.previous_image) is None:
            skipped.add(f"prior that is not used ({problem or 'prior-missing'})", study.study)
            continue
        row, listed = source.known.get(study.previous_image), source.facts.get(study.previous_study)
        film = _film(source, study.previous_image, source.facts[study.study])
        name = study.previous_study or f"{study.study}-prior"
        date = listed.date if listed else row.date if row else None
        yield study.study, replace(film, study=name, date=date)


def _films(source: _Source, priors: Mapping[str, FilmRow]) -> list[FilmRow]:
    """One row per study and per prior that is not a study itself, in order within each patient.

    A prior without a date is sorted before its study.
    """
    films: dict[str, tuple[datetime, FilmRow]] = {}
    for study in source.studies:
        this = source.facts[study.study]
        film = _film(source, study.image, this)
        films[study.study] = this.date, replace(film, report=study.report(source.language))
    for name, prior in priors.items():
        films.setdefault(prior.study, (prior.date or source.facts[name].date, prior))
    by_patient: dict[str, list[tuple[datetime, bool, str, FilmRow]]] = {}
    for date, film in films.values():
        dated = (date, film.date is not None, film.study, film)
        by_patient.setdefault(film.patient, []).append(dated)
    return [
        replace(film, cells=Cells(source.table, order, {}, "film"), order=order)
        for same_patient in by_patient.values()
        for order, (*_, film) in enumerate(sorted(same_patient, key=itemgetter(0, 1, 2)), start=1)
    ]


def _film(source: _Source, image: str, facts: StudyFacts) -> FilmRow:
    row = source.known.get(image)
    return FilmRow(
        cells=Cells(source.table, 0, {}, "film"),
        patient=facts.patient,
        study=facts.study,
        image=source.images.path(image) or f"PadChest_GR/{image}",
        date=facts.date,
        view=row.view if row else "",
        report="",
        id=image,
    )


def _boxes(source: _Source, paths: Mapping[str, str], skipped: SkipLog) -> Iterator[BoxRow]:
    """The boxes of the first reader, with the sentence as their phrase."""
    for number, study in enumerate(source.studies, start=1):
        for sentence in study.sentences:
            for box in sentence.boxes:
                if valid_box(box) is None:
                    skipped.add("box outside its image or without area", study.study)
                    continue
                a, b, c, d = box
                yield BoxRow(
                    cells=Cells(source.table, number, {"image": study.image}, "study"),
                    image=paths[study.study],
                    region=box_name(sentence),
                    phrase=sentence.texts[source.language],
                    corners=(a, b, c, d),
                    unit="fraction",
                )


def box_name(sentence: Sentence) -> str:
    """The region of a sentence: its location if that is one of the 36, otherwise its label."""
    locations = (name.lower() for name in sentence.locations)
    known = next((name for name in locations if name in REGION_SETS["36"]), "")
    label = sentence.labels[0] if sentence.labels else "abnormality"
    return known or f"{FINDING_BOX}{label.lower().replace('/', ' ').replace('#', ' ')}"


def _box_defects(study: GroundedStudy) -> Iterator[tuple[str, str]]:
    for sentence in study.sentences:
        if sentence.is_abnormal and not sentence.boxes:
            yield "finding-without-box", f"{study.study} {', '.join(sentence.labels)}"
        for box in (*sentence.boxes, *sentence.extra_boxes):
            if valid_box(box) is None:
                yield "fraction-box", f"{study.study} {list(box)}"


def _stated(
    studies: Sequence[GroundedStudy], priors: Mapping[str, FilmRow], skipped: SkipLog
) -> Iterator[tuple[tuple[str, str], StatedChanges]]:
    """(prior, study) -> the progressions of findings that have one of the 30 names."""
    for study in studies:
        words: dict[str, set[str]] = {}
        for sentence in study.sentences:
            if not sentence.progression:
                continue
            findings = [FINDING_OF[name] for name in sentence.labels if name in FINDING_OF]
            if not findings:
                skipped.add("progression of a label outside the 30 findings", study.study)
            for finding in findings:
                words.setdefault(finding, set()).add(sentence.progression)
        progressions = {}
        for finding, values in words.items():
            if len(values) > 1:
                skipped.add("finding with two different progressions", f"{study.study} {finding}")
            else:
                progressions[finding] = values.pop()
        prior = priors.get(study.study)
        if progressions and prior is None:
            skipped.add("progressions without a usable prior", study.study)
        elif prior is not None and progressions:
            yield (prior.study, study.study), StatedChanges(progressions=progressions)
