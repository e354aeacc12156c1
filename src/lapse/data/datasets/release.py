"""Public releases of films: one class per release, registered under "releases".

    folder --Release.find--> its tables, known by their headers
           --Release.read--> FilmRecords: rows, findings, boxes, splits, what is said about time
                    '------> PlainTable -> pairs, regions, store: shared with own films

To add a release: derive a class from `Release`, register it in
`lapse.core.registry` under "releases", add the types of its defects to
`lapse.data.verify.defect_types` and docs/reference/defects.md, and write its simulated tree in
`lapse.phantom.dataset`, registered under "layouts". `lapse prepare ROOT OUT`, `lapse verify ROOT`
and `lapse simulate OUT --layout NAME` then work. docs/how-to/extend.md has the steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

from lapse.core.findings import FINDINGS
from lapse.core.registry import load, names
from lapse.core.types import nearest
from lapse.data.datasets.chexmask import mask_boxes
from lapse.data.datasets.discovery import (
    DatasetRoots,
    ReleaseRoots,
    TableRoots,
    folders_below,
    is_mimic_folder,
)
from lapse.data.datasets.film_records import FilmRecords, read_own_table
from lapse.data.datasets.plain_findings import StudyFindings
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.io.csv_tables import is_csv, read_header

FilmRoots = TableRoots | ReleaseRoots


class Release(ABC):
    """How one public release is recognised and read.

    Attributes:
        title: the release in messages, "NIH ChestX-ray14".
        licence: printed with every score.
        prefix: starts its patient ids in the store, "nih" -> "nih:13".
        remark: what a reader of a score needs to know about its answers, "" for nothing; printed
            with every score.
        outside: its labels outside the 30 findings, in lower case, that a user may map to one.
        expert_columns: columns of tables of expert readers that `read` uses, () for none.
        published: what `verify` counts -> the number in the published release: "images",
            "patients", "boxes", "difference questions".
        intensity: the default of `ImageProcessing.intensity` for its images.
        languages: of its reports and phrases, the default first; () without texts.
    """

    title: str
    licence: str
    prefix: str
    remark: str = ""
    outside: tuple[str, ...] = ()
    expert_columns: tuple[str, ...] = ()
    published: Mapping[str, int] = MappingProxyType({})
    intensity: str = "mimic"
    languages: tuple[str, ...] = ()

    @abstractmethod
    def find(self, folder: Path) -> tuple[Path, ...]:
        """The tables of the release in a folder, the main one first; () if it has none.

        Tables are recognised by their headers. Other releases are not an error.
        """

    @abstractmethod
    def read(self, roots: ReleaseRoots) -> FilmRecords:
        """The films.

        `FilmRow.image` is the path of the file below `roots.folder`, or where it is expected;
        `FilmRow.id` is the id of the image in the release. Patient ids carry no prefix.

        Raises:
            ValueError: a table cannot be used; the message says why and what to fetch.
        """

    def defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """(code of a defect type, id) of what is wrong in the tables; reads nothing else.

        Missing images, pixels and row counts are checked for all releases in one way
        (lapse.data.verify.release).
        """
        try:
            yield from self.table_defects(roots)
        except ValueError as error:
            yield "release-table", str(error)

    @abstractmethod
    def table_defects(self, roots: ReleaseRoots) -> Iterator[tuple[str, str]]:
        """The defects of tables that can be used."""

    def info(self, exact: Mapping[str, str] = MappingProxyType({})) -> DatasetInfo:
        """What the data set is.

        Args:
            exact: label -> finding, of a release with labels; with those that the user maps.
        """
        mapped = {label.lower() for label in exact}
        return DatasetInfo(
            name=self.title,
            licence=self.licence,
            remark=self.remark,
            prefix=self.prefix,
            labelled=tuple(dict.fromkeys(exact.values())),
            outside=tuple(label for label in self.outside if label not in mapped),
        )

    def split_defects(self, records: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """A defect for each patient who is in two splits, of (patient, split) records."""
        for patient in in_two_splits(records):
            yield "patient-two-splits", f"{self.title}: {patient}"


def release_of(roots: ReleaseRoots) -> Release:
    """The registered release of some files."""
    return cast("Release", load("releases", roots.name)())


def find_release(paths: Sequence[Path]) -> ReleaseRoots | None:
    """The public release in the given folders or below them, None if there is none.

    Raises:
        ValueError: a folder does not exist, or there are several data sets.
    """
    roots: list[ReleaseRoots] = []
    mimic: list[str] = []
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"no folder {path}: give the folders that hold the datasets")
        for folder in folders_below(path, is_release=lambda folder: bool(_releases_in(folder))):
            mimic += [f"MIMIC-CXR in {folder}"] if is_mimic_folder(folder) else []
            roots += _releases_in(folder)
    if len(roots) > 1 or (roots and mimic):
        listed = ", ".join([f"{release_of(item).title} in {item.folder}" for item in roots] + mimic)
        raise ValueError(f"several data sets: {listed}; give only one of them")
    return roots[0] if roots else None


def _releases_in(folder: Path) -> list[ReleaseRoots]:
    """The releases whose tables are in a folder itself."""
    found = []
    for name in names("releases"):
        tables = cast("Release", load("releases", name)()).find(folder)
        if tables:
            found.append(ReleaseRoots(name, folder, tables))
    return found


def with_label_map(roots: ReleaseRoots, texts: Sequence[str]) -> ReleaseRoots:
    """The roots with labels that the user maps to findings.

    Args:
        texts: "Infiltration=lung opacity" and so on.

    Raises:
        ValueError: a text has another form, the release has no such label, or the finding is not
            one of the 30.
    """
    release, label_map = release_of(roots), []
    for text in texts:
        label, equals, finding = (part.strip().lower() for part in text.partition("="))
        if not equals:
            raise ValueError(f"--map-label {text!r} is not of the form LABEL=FINDING")
        if label not in release.outside:
            raise ValueError(
                f"{release.title} has no label {label!r} outside the findings; "
                f"{nearest(label, release.outside)}"
            )
        if finding not in FINDINGS:
            raise ValueError(f"--map-label {text!r}: {nearest(finding, FINDINGS)}")
        label_map.append((label, finding))
    return replace(roots, label_map=tuple(label_map))


def with_experts(roots: ReleaseRoots, paths: Sequence[Path]) -> ReleaseRoots:
    """The roots with tables of expert readers, whose pairs are evaluated on.

    Raises:
        ValueError: the release has none, or a file is missing or has other columns.
    """
    release = release_of(roots)
    for path in paths:
        if not release.expert_columns:
            raise ValueError(f"--experts: {release.title} has no labels of expert readers")
        missing = sorted(set(release.expert_columns) - set(read_header(path)))
        if missing:
            raise ValueError(
                f"{path} has no column {missing[0]!r}: --experts takes the tables with "
                f"{', '.join(release.expert_columns)}"
            )
    return replace(roots, experts=tuple(paths))


def with_language(roots: ReleaseRoots, language: str) -> ReleaseRoots:
    """The roots with the language of reports and phrases that the user chose.

    Raises:
        ValueError: the release has no texts in that language.
    """
    release = release_of(roots)
    if language not in release.languages:
        listed = ", ".join(release.languages) or "none"
        raise ValueError(f"{release.title} has no texts in {language!r}: it has {listed}")
    return replace(roots, language=language)


def default_intensity(roots: DatasetRoots | FilmRoots) -> str:
    """The intensity with which images are read unless the user names another."""
    return release_of(roots).intensity if isinstance(roots, ReleaseRoots) else "mimic"


def read_records(roots: FilmRoots) -> FilmRecords:
    """The films of a table of the user or of a public release.

    Raises:
        ValueError: a table is missing or has an error.
    """
    if isinstance(roots, TableRoots):
        records = read_own_table(roots)
    else:
        records = release_of(roots).read(roots)
    if roots.masks is None:
        return records
    masks = mask_boxes(roots.masks, records.rows, records.skipped, records.noted)
    return replace(records, boxes=(*records.boxes, *masks))


def tables_with(folder: Path, columns: Sequence[str], *, without: Sequence[str] = ()) -> list[Path]:
    """The CSV tables of a folder whose header has these columns, in order of their names.

    Args:
        folder: searched without its subfolders.
        columns: names that the header has.
        without: names of which it has none.
    """
    headers = {path: set(_columns(path)) for path in sorted(folder.iterdir()) if is_csv(path)}
    return [
        path
        for path, header in headers.items()
        if set(columns) <= header and not set(without) & header
    ]


def row_defects(errors: Iterable[ValueError]) -> Iterator[tuple[str, str]]:
    """A defect for each error of a row; ids that a program has changed have their own type."""
    for text in map(str, errors):
        is_id = "spreadsheet" in text or "as numbers" in text
        yield ("changed-id" if is_id else "release-row"), text


def in_two_splits(records: Iterable[tuple[str, str]]) -> list[str]:
    """The patients of (patient, split) records that are in more than one split, in order."""
    splits: dict[str, str] = {}
    return sorted(
        {patient for patient, split in records if splits.setdefault(patient, split) != split}
    )


def check_one_split(records: Iterable[tuple[str, str]], source: str) -> None:
    """Refuse a release whose patients are in two splits.

    Args:
        records: (patient, split) of every row.
        source: its table, for the message.

    Raises:
        ValueError: with the number of these patients and a few of their ids.
    """
    conflicts = in_two_splits(records)
    if conflicts:
        raise ValueError(
            f"{source} has {len(conflicts)} patients in two splits, such as "
            f"{', '.join(conflicts[:3])}: use the original files"
        )


def mapping_notes(roots: ReleaseRoots) -> list[str]:
    """The labels that the user maps, for the provenance."""
    return [f"{label} read as {finding}" for label, finding in roots.label_map]


def _columns(path: Path) -> list[str]:
    try:
        return read_header(path)
    except ValueError:
        return []


def labelled_findings(
    labels: Iterable[str], exact: Mapping[str, str], outside: Sequence[str], where: str
) -> StudyFindings:
    """The findings that the labels of an image state.

    Args:
        exact: label -> finding, by its exact name.
        outside: further labels, in lower case, which stay outside the 30 findings.
        where: the row in a message.

    Raises:
        ValueError: a label is not known.
    """
    present: dict[str, str] = {}
    for label in labels:
        name = exact.get(label, label.lower())
        if label not in exact and name not in outside:
            known = nearest(label, (*exact, *outside))
            raise ValueError(f"{where}: label {label!r} is not known; {known}")
        present[name] = ""
    return StudyFindings(present)
