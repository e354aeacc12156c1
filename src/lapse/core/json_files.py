"""Reading JSON files that may be damaged or hostile; every error names the file."""

from __future__ import annotations

import json
from pathlib import Path

MAX_BYTES = 64 << 20  # of a JSON file that is read at once


def read_json(path: Path) -> object:
    """The value of a JSON file.

    Raises:
        ValueError: no such file, too large, not JSON in UTF-8, or nested too deeply.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes, at most {MAX_BYTES} are read")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} is damaged: its values are nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged, it is not JSON: {error}") from None


def read_json_object(path: Path) -> dict[str, object]:
    """The object of a JSON file.

    Raises:
        ValueError: as `read_json`, or another kind of value.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} is damaged: it holds {type(value).__name__}, not an object")
    return value
