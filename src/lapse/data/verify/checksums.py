"""SHA256SUMS.txt, as PhysioNet ships it with the files of each dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.data.datasets.image_files import suffix_rank
from lapse.data.verify.context import VerifyContext

SUMS = "SHA256SUMS.txt"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)|([0-9a-fA-F]{64}) (.+)")


def check_checksums(context: VerifyContext) -> None:
    """Compare every listed file that exists; image files only where pixels are checked.

    A listed file that does not exist is not a defect here: few copies hold a complete dataset,
    and other checks report missing tables, images and reports.
    """
    roots = context.roots
    folders = dict.fromkeys(getattr(roots, field.name) for field in fields(roots))
    for folder in folders:
        if folder is None:
            continue
        sums = folder / SUMS
        if not sums.is_file():
            context.findings.note(f"{folder.name} has no {SUMS}: checksums were not compared")
            continue
        for digest, name in _listed(context, sums):
            path = folder / name
            is_image = suffix_rank(path.suffix) is not None
            is_inside = path.resolve().is_relative_to(folder.resolve())
            if is_inside and path.is_file() and (context.has_pixels or not is_image):
                context.progress.step()
                if sha256_of(path) != digest:
                    context.findings.add("checksum", name)


def _listed(context: VerifyContext, sums: Path) -> Iterator[tuple[str, str]]:
    """(digest, relative name) of every well-formed line; the others are noted."""
    num_malformed = 0
    with sums.open(encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            match = _LINE.fullmatch(line.rstrip("\r\n"))
            if match is None:
                num_malformed += bool(line.strip())
                continue
            yield (match[1] or match[3]).lower(), (match[2] or match[4]).removeprefix("./")
    if num_malformed:
        context.findings.note(f"{sums.parent.name}/{SUMS}: {num_malformed} lines are not checksums")
