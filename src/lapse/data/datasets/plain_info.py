"""What a data set is: `dataset.json` next to a table of own films, or a public release.

    {"name": "Films of our ward", "licence": "internal", "description": "...", "outside": ["mass"]}

`outside` lists findings of the table outside the 30 known ones: the answers cannot name them, so a
pair whose studies differ in one of them makes no question.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lapse.core.findings import FINDINGS
from lapse.core.types import nearest

MAX_TEXT = 500  # characters of a text: it is printed with every score
REMARK = "remark"  # the key of `DatasetInfo.remark` in the provenance of a score
BOX_UNITS = ("pixel", "fraction")
_LISTS = ("labelled", "outside")
_PREFIX = re.compile(r"[a-z0-9-]{0,20}")


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The content of dataset.json; all of it is optional.

    Attributes:
        remark: what a reader of a score needs to know about the labels; printed with every score.
        prefix: starts the patient ids in the store, "nih" -> "nih:13", so that patients of two
            data sets are never taken for one.
        labelled: the findings that were looked for: the only ones that an answer can name. () for
            all 30.
        outside: findings of the table outside the 30.
        box_unit: "pixel" of the image, or "fraction" of its width and height.
    """

    name: str = ""
    licence: str = ""
    description: str = ""
    remark: str = ""
    prefix: str = ""
    labelled: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    box_unit: str = "pixel"

    def release(self, table: str) -> str:
        """The data set in the provenance of a store and of its scores.

        Args:
            table: identifies the table that was read.

        >>> DatasetInfo("Ward 7", "internal").release("own table 0123456789ab")
        'Ward 7, licence internal, own table 0123456789ab'
        """
        parts = [self.name, f"licence {self.licence}" if self.licence else "", self.description]
        return ", ".join([*filter(None, parts), table])

    def patient(self, number: str) -> str:
        """The id of a patient in the store.

        >>> DatasetInfo(prefix="nih").patient("13")
        'nih:13'
        """
        return f"{self.prefix}:{number}" if self.prefix else number


def read_dataset_info(path: Path | None) -> DatasetInfo:
    """The content of a dataset.json; nothing is known without one.

    Raises:
        ValueError: the file is not such a JSON object, or a key or value is not allowed.
    """
    if path is None:
        return DatasetInfo()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not valid JSON ({error}): correct it") from error
    if not isinstance(content, dict):
        raise ValueError(f'{path.name} is not a JSON object: write {{"name": "..."}}')
    keys = tuple(field.name for field in fields(DatasetInfo))
    for key in content:
        if key not in keys:
            raise ValueError(f"{path.name}: unknown key {key!r}; {nearest(key, keys)}")
    values: dict[str, Any] = {key: _names(path, key, content.pop(key, [])) for key in _LISTS}
    for key, text in content.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(
                f"{path.name}: {key} {str(text)[:40]!r} is not a text of at most {MAX_TEXT} "
                "characters: shorten it"
            )
        values[key] = " ".join(text.split())
    info = DatasetInfo(**values)
    _check(path, info)
    return info


def _names(path: Path, key: str, names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path.name}: {key} {names!r} is not a list of names: write a list")
    return tuple(" ".join(name.lower().split()) for name in names)


def _check(path: Path, info: DatasetInfo) -> None:
    if not _PREFIX.fullmatch(info.prefix):
        raise ValueError(
            f"{path.name}: prefix {info.prefix!r} is not a short word: write up to 20 letters a to "
            "z, digits or '-'"
        )
    if info.box_unit not in BOX_UNITS:
        raise ValueError(
            f"{path.name}: unknown box_unit {info.box_unit!r}; {nearest(info.box_unit, BOX_UNITS)}"
        )
    for name in info.labelled:
        if name not in FINDINGS:
            raise ValueError(f"{path.name}: labelled names {name!r}; {nearest(name, FINDINGS)}")
