"""`dataset.json` next to a table of own films: what the data set is.

    {"name": "Films of our ward", "licence": "internal", "description": "...", "outside": ["mass"]}

`outside` lists findings of the table outside the 30 known ones: the answers cannot name them, so a
pair whose studies differ in one of them makes no question.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

from lapse.core.types import nearest

MAX_TEXT = 500  # characters of a text: it is printed with every score


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The content of dataset.json; all of it is optional."""

    name: str = ""
    licence: str = ""
    description: str = ""
    outside: tuple[str, ...] = ()

    def release(self, digest: str) -> str:
        """The data set in the provenance of a store and of its scores.

        >>> DatasetInfo("Ward 7", "internal").release("0123456789ab")
        'Ward 7, licence internal, own table 0123456789ab'
        """
        parts = [self.name, f"licence {self.licence}" if self.licence else "", self.description]
        return ", ".join([*filter(None, parts), f"own table {digest}"])


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
    outside = content.pop("outside", [])
    if not isinstance(outside, list) or not all(isinstance(name, str) for name in outside):
        raise ValueError(f"{path.name}: outside {outside!r} is not a list of names: write a list")
    for key, text in content.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(
                f"{path.name}: {key} {str(text)[:40]!r} is not a text of at most {MAX_TEXT} "
                "characters: shorten it"
            )
    texts = {key: " ".join(text.split()) for key, text in content.items()}
    return DatasetInfo(**texts, outside=tuple(" ".join(name.lower().split()) for name in outside))
