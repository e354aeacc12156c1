"""Write a comparison to files: JSON, CSV, HTML, PNG, DICOM structured report.

All paths are checked before the model is loaded. A film is never overwritten.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapse.core.extras import check_extra
from lapse.core.files import atomic_write, check_output_file, write_text
from lapse.core.types import Box
from lapse.core.version import __version__
from lapse.inference.answer_picture import draw_comparison
from lapse.inference.comparison import Comparison
from lapse.inference.structured_report.document import (
    check_dicom_films,
    write_report,
)
from lapse.metrics.confidence import change_key

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SEPARATOR = "; "  # of several values in a cell
ANSWER_COLUMNS = (
    "status", "answer", "changes", "unsure", "confidence", "regions", "reasons", "not understood",
    "input checks", "trained on", "model", "lapse", "research use",
)  # fmt: skip
COLUMNS = ("reference", "main", "question", *ANSWER_COLUMNS)


@dataclass(frozen=True, slots=True)
class AnswerFiles:
    """The files to write; None for those that are not."""

    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    png: Path | None = None
    sr: Path | None = None

    def check(self, films: Sequence[Path]) -> None:
        """Refuse paths that cannot be written, before any work.

        Raises:
            ValueError: a path is a folder, may not be written, is given twice, or is a film; a
                structured report of films that are not DICOM, or without highdicom.
        """
        if self.sr is not None:
            check_extra("dicom", ["pydicom", "highdicom"], "a structured report (--sr)")
            check_dicom_films(films)
        used = {path.resolve(): f"the film {path}" for path in films}
        for name, path in self.paths():
            check_output_file(path)
            if path.resolve() in used:
                raise ValueError(
                    f"--{name} {path} would overwrite {used[path.resolve()]}: give another path"
                )
            used[path.resolve()] = f"--{name}"

    def paths(self) -> list[tuple[str, Path]]:
        """(name of the option, path) of the files to write."""
        named = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return [(name, path) for name, path in named if path is not None]

    def write(self, comparison: Comparison, report: Dataset | None = None) -> None:
        """Write all files, each one complete or not at all.

        Args:
            report: its structured report, for `sr`.
        """
        if self.sr is not None and report is not None:
            write_report(self.sr, report)
        if self.json is not None:
            text = json.dumps(comparison.to_dict(), indent=1, ensure_ascii=False)
            write_text(self.json, text + "\n")
        if self.csv is not None:
            write_text(self.csv, csv_text(COLUMNS, [csv_row(comparison)]))
        if self.html is not None:
            write_text(self.html, comparison.page())
        if self.png is not None:
            picture = draw_comparison(comparison)
            with atomic_write(self.png) as temporary:
                picture.save(temporary, format="PNG")


def csv_row(comparison: Comparison) -> dict[str, str]:
    """A comparison as one row; several values of a cell are separated by a semicolon."""
    answer = comparison.answer
    changes = (*answer.changes, *answer.unsure)
    joined = SEPARATOR.join
    values = {
        **{role: film.file for role, film in comparison.films.items()},
        "question": comparison.question,
        "status": answer.status,
        "answer": answer.text,
        "changes": joined(map(change_key, answer.changes)),
        "unsure": joined(map(change_key, answer.unsure)),
        "confidence": joined(
            f"{change_key(change)} = {certainty}"
            for change in changes
            if (certainty := answer.certainty(change))
        ),
        "regions": joined(
            f"{role} {finding} = {_region(comparison, role, finding, box)}"
            for role, boxes in comparison.boxes.items()
            for finding, box in boxes.items()
        ),
        "reasons": joined(answer.reasons),
        "not understood": joined(answer.leftover),
        "input checks": joined(f"{issue.level} {issue.code}" for issue in answer.issues),
        "trained on": answer.trained_on,
        "model": comparison.model.get("model", ""),
        "lapse": __version__,
        "research use": comparison.notice,
    }
    return {name: values.get(name, "") for name in COLUMNS}


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as CSV text, with a header line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _region(comparison: Comparison, role: str, finding: str, box: Box | None) -> str:
    if box is None:
        return "none"
    numbers = " ".join(f"{value:.4f}" for value in astuple(box))
    return f"{comparison.region_name(role, finding)} {numbers}"
