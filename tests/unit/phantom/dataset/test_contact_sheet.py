"""Contact sheets: pages of simulated images."""

import pytest

from lapse.phantom.dataset import contact_sheet
from lapse.phantom.dataset.contact_sheet import (
    EXAMPLES,
    draw_contact_sheets,
    finding_tiles,
    kind_tiles,
)


def test_small_tiles_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="tiles of 8 pixels"):
        draw_contact_sheets(tmp_path, tile=8)


def test_each_example_has_a_box(monkeypatch):
    monkeypatch.setattr(contact_sheet, "SIZE", 64)
    tiles = list(finding_tiles(0, EXAMPLES[::6]))
    assert len(tiles) == 3 * len(EXAMPLES[::6])
    assert all(tile.box for tile in tiles)


def test_kinds_have_the_same_findings_in_other_images(monkeypatch):
    monkeypatch.setattr(contact_sheet, "SIZE", 64)
    tiles = list(kind_tiles(0))
    rows = [tiles[start : start + 6] for start in range(0, 24, 6)]
    names = [[tile.caption.partition(": ")[2] for tile in row] for row in rows]
    assert names[0] == names[1] == names[2] == names[3]
    assert len({row[0].image.tobytes() for row in rows}) == 4
