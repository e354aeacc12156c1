"""The two coordinate frames of a scene graph, its lists, and the cleaning of its phrases.

The 224 letterbox: r = 224 / max(H, W), sizes int(length * r), padding (224 - size) // 2 left and
above, so original = (v - pad) / r. Both frames are rounded to integer pixels and therefore agree
within about 2 / r pixels of the original.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from lapse.core.types import Box
from lapse.data.reports.sections import section_name

LETTERBOX = 224
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2
PHRASES = "phrases"
PARALLEL = (  # lists of an attribute whose entry j describes phrase j
    "attributes",
    "attributes_ids",
    "phrase_IDs",
    "sections",
    "comparison_cues",
    "temporal_cues",
    "severity_cues",
    "texture_cues",
)

FINDING_CATEGORIES = ("anatomicalfinding", "disease", "device", "tubesandlines")

_LIST_NUMBER = re.compile(r"^(?:\(?\d{1,2}[.)]|[-*•])\s+")
_CAPITALS = re.compile(r"^([A-Z][A-Z ()/,\-]+):\s+")
_SECTIONS = ("impression", "findings", "comparison", "addendum")
_MARK = re.compile(r"_{2,}")
_HEADER_WORDS = re.compile(
    r"^(?:final report|findings? and impressions?|findings?|impressions?|conclusions?|"
    r"comparisons?|indication|history|technique|examination|(?:portable )?(?:ap|pa) chest|chest)"
    r"\s*:\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of an original image in pixels, which determines its letterbox."""

    height: int
    width: int

    @property
    def scale(self) -> float:
        """Letterbox pixels per original pixel, r."""
        return LETTERBOX / max(self.height, self.width)

    def to_original(self, corners: Corners) -> Corners:
        """Letterbox pixels -> original pixels."""
        left = (LETTERBOX - int(self.width * self.scale)) // 2
        top = (LETTERBOX - int(self.height * self.scale)) // 2
        x1, y1, x2, y2 = corners
        scale = self.scale
        return (x1 - left) / scale, (y1 - top) / scale, (x2 - left) / scale, (y2 - top) / scale

    def agrees(self, item: Mapping[str, Any], corners: Corners) -> bool:
        """Whether the letterbox corners of an object agree with its original corners."""
        small = _corners(item, "")
        if small is None:
            return False
        limit = 2 / self.scale + 1
        pairs = zip(self.to_original(small), corners, strict=True)
        return all(abs(expected - actual) <= limit for expected, actual in pairs)


def original_corners(item: Mapping[str, Any]) -> Corners | None:
    """The full-resolution corners of an object in pixels, None unless all are finite numbers."""
    return _corners(item, "original_")


def original_box(corners: Corners, frame: Frame) -> tuple[Box | None, bool]:
    """Pixels -> fractions: the box (None without area) and whether it was clipped."""
    lengths = (frame.width, frame.height, frame.width, frame.height)
    raw = [value / length for value, length in zip(corners, lengths, strict=True)]
    x_min, y_min, x_max, y_max = (min(1.0, max(0.0, value)) for value in raw)
    is_clipped = [x_min, y_min, x_max, y_max] != raw
    if x_min >= x_max or y_min >= y_max:
        return None, is_clipped
    return Box(x_min, y_min, x_max, y_max), is_clipped


def has_parallel_lists(item: Mapping[str, Any]) -> bool:
    """Whether the lists of an attribute that are present have the length of its phrases."""
    lengths = {len(item[key]) for key in (PHRASES, *PARALLEL) if isinstance(item.get(key), list)}
    return len(lengths) <= 1


def stated_findings(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The findings that an attribute of a region states as present, each once and in order.

    >>> stated_findings({"attributes": [["anatomicalfinding|yes|lung opacity", "nlp|yes|abnormal"],
    ...                                 ["anatomicalfinding|no|pneumothorax"]]})
    ('lung opacity',)
    """
    groups = item.get("attributes")
    findings: dict[str, None] = {}
    for group in groups if isinstance(groups, list) else ():
        for text in group if isinstance(group, list) else ():
            parts = text.split("|") if isinstance(text, str) else []
            if len(parts) == 3 and parts[0] in FINDING_CATEGORIES and parts[1] == "yes":
                findings[parts[2]] = None
    return tuple(findings)


def strip_headers(text: str) -> str:
    """One line without leading list numbers and section headers.

    >>> strip_headers("2) FINDINGS: Clear since ___.")
    'Clear since ___.'
    """
    phrase = " ".join(text.split())
    while True:
        shorter = _HEADER_WORDS.sub("", _LIST_NUMBER.sub("", phrase), count=1).strip()
        header = _CAPITALS.match(shorter)
        if header is not None and section_name(header.group(1)) in _SECTIONS:
            shorter = shorter[header.end() :]
        if shorter == phrase:
            return phrase
        phrase = shorter


def remove_marks(text: str) -> str:
    """A text without the marks ___ and the blanks and commas around them; "" without words.

    >>> remove_marks("The line, ___, ends in the SVC ( ___ ).")
    'The line, ends in the SVC.'
    """
    if _MARK.search(text):
        text = re.sub(r"\(\s*\)", "", _MARK.sub(" ", text))
        text = re.sub(r"\s+(?=[,;:.?!)])", "", text)
        text = re.sub(r"[,;:]+(?=[,;:.?!])|\.(?=[.?!])", "", text)
        text = " ".join(text.split()).lstrip(" ,;:.-")
    return text if any(character.isalnum() for character in text) else ""


def _corners(item: Mapping[str, Any], prefix: str) -> Corners | None:
    x1, y1, x2, y2 = (item.get(f"{prefix}{key}") for key in ("x1", "y1", "x2", "y2"))
    if _is_length(x1) and _is_length(y1) and _is_length(x2) and _is_length(y2):
        return float(x1), float(y1), float(x2), float(y2)
    return None


def _is_length(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e9  # False for NaN
