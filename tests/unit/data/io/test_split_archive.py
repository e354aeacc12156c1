"""A zip cut by bytes is read as one stream; missing and damaged parts are named."""

import io
import zipfile

import pytest

from lapse.data.io.split_archive import (
    JoinedParts,
    SplitArchive,
    archive_of,
    archive_parts,
    split_archives,
)

MEMBERS = {f"PadChest_GR/{number}.png": bytes([number]) * (400 + number) for number in range(5)}


def write_parts(folder, size=700, name="films.zip"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.mkdir("PadChest_GR")
        for member, data in MEMBERS.items():
            archive.writestr(member, data)
    content = stream.getvalue()
    for number, start in enumerate(range(0, len(content), size), start=1):
        (folder / f"{name}.{number:03d}").write_bytes(content[start : start + size])
    return folder / name, content


def test_members_are_read_across_the_borders_of_parts(tmp_path):
    path, content = write_parts(tmp_path)
    archive = SplitArchive(path)
    assert len(archive.parts) >= 4 and not path.exists()
    assert archive.sizes == {name: len(data) for name, data in MEMBERS.items()}
    assert {name: archive.read(name) for name in MEMBERS} == MEMBERS
    archive.close()
    stream = JoinedParts(archive.parts)
    assert stream.read() == content
    assert stream.seek(-3, io.SEEK_END) == len(content) - 3 and stream.read(9) == content[-3:]
    stream.close()


def test_a_joined_file_is_the_archive_itself(tmp_path):
    path, content = write_parts(tmp_path)
    for part in tmp_path.iterdir():
        part.unlink()
    path.write_bytes(content)
    archive = SplitArchive(path)
    assert archive.read("PadChest_GR/3.png") == MEMBERS["PadChest_GR/3.png"]
    archive.close()


def test_missing_parts_are_named(tmp_path):
    path, _ = write_parts(tmp_path)
    (tmp_path / "films.zip.002").unlink()
    assert archive_parts(path)[1] == (2,)
    with pytest.raises(ValueError, match=r"lacks films\.zip\.002: download the missing parts"):
        SplitArchive(path)


@pytest.mark.parametrize("change", ["last part", "half a part", "none"])
def test_an_incomplete_archive_is_refused(change, tmp_path):
    path, _ = write_parts(tmp_path)
    parts = archive_parts(path)[0]
    if change == "none":
        for part in parts:
            part.unlink()
        match = "download its parts"
    elif change == "last part":
        parts[-1].unlink()
        match = "the last parts may be missing"
    else:
        parts[-1].write_bytes(parts[-1].read_bytes()[:50])
        match = "the last parts may be missing"
    with pytest.raises(ValueError, match=match):
        SplitArchive(path)


def test_a_damaged_or_absent_member_is_refused(tmp_path):
    path, _ = write_parts(tmp_path)
    parts = archive_parts(path)[0]
    parts[0].write_bytes(parts[0].read_bytes().replace(b"\1\1\1\1", b"\1\1\2\1", 1))
    parts[1].write_bytes(parts[1].read_bytes().replace(b"\1\1\1\1", b"\1\1\2\1", 1))
    archive = SplitArchive(path)
    assert archive.read("PadChest_GR/4.png") == MEMBERS["PadChest_GR/4.png"]
    for name in ("PadChest_GR/1.png", "9.png"):
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            archive.read(name)
    archive.close()


def test_the_archives_of_a_folder_and_the_path_of_a_member(tmp_path):
    path, _ = write_parts(tmp_path)
    (tmp_path / "other.zip").write_bytes(b"")
    (tmp_path / "films.zip.txt").write_bytes(b"")
    assert split_archives(tmp_path) == [path, tmp_path / "other.zip"]
    assert archive_of(path / "a" / "1.png") == (path, "a/1.png")
    (tmp_path / "unpacked.zip").mkdir()
    assert archive_of(tmp_path / "unpacked.zip" / "1.png") is None
    assert archive_of(tmp_path / "1.png") is None
