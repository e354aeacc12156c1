"""SHA256SUMS.txt, as PhysioNet ships it beside the files of each data set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.data.verify.context import VerifyContext
from lapse.data.verify.images import SUFFIXES

SUMS = "SHA256SUMS.txt"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)|([0-9a-fA-F]{64}) (.+)")


def check_checksums(case: VerifyContext) -> None:
    """Compare every listed file that is there; image files only where pixels are read.

    A listed file that is not there is no defect of its own: whole data sets are rarely fetched,
    and missing tables, images and reports are reported by the checks that need them.
    """
    roots = case.roots
    folders = dict.fromkeys(getattr(roots, field.name) for field in fields(roots))
    for folder in folders:
        if folder is None:
            continue
        sums = folder / SUMS
        if not sums.is_file():
            case.findings.note(f"{folder.name} has no {SUMS}: files were not compared with it")
            continue
        for digest, name in _listed(case, sums):
            path = folder / name
            is_image = path.suffix in SUFFIXES
            is_inside = path.resolve().is_relative_to(folder.resolve())
            if is_inside and path.is_file() and (case.has_pixels or not is_image):
                case.meter.step()
                if sha256_of(path) != digest:
                    case.findings.add("checksum", name)


def _listed(case: VerifyContext, sums: Path) -> Iterator[tuple[str, str]]:
    """(digest, relative name) of every line that can be read; the others are noted."""
    unread = 0
    with sums.open(encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            match = _LINE.fullmatch(line.rstrip("\r\n"))
            if match is None:
                unread += bool(line.strip())
                continue
            yield (match[1] or match[3]).lower(), (match[2] or match[4]).removeprefix("./")
    if unread:
        case.findings.note(f"{sums.parent.name}/{SUMS}: {unread} lines are no checksums")
