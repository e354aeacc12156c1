import queue
import threading
from pathlib import Path

import pytest

from lapse.core.files import atomic_write, file_lock, rename_folder, sha256_of, write_text


def test_a_text_is_written_with_its_folder_and_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "caf\u00e9\r\n\n")
    assert path.read_bytes() == "café\r\n\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["b.txt"]


def test_an_error_keeps_the_old_file_and_deletes_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyError), atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        raise KeyError
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_written_file_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_finished_folder_gets_its_final_name(tmp_path: Path) -> None:
    (tmp_path / "x.tmp").mkdir()
    (tmp_path / "x.tmp" / "file").write_text("1")
    rename_folder(tmp_path / "x.tmp", tmp_path / "x")
    assert [str(item.relative_to(tmp_path)) for item in tmp_path.rglob("*")] == ["x", "x/file"]


def test_sha256_of_two_files_is_that_of_their_bytes_in_order(tmp_path: Path) -> None:
    for name, data in (("a", b"ab"), ("b", b"c"), ("all", b"abc")):
        (tmp_path / name).write_bytes(data)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256sum of abc
    assert sha256_of(tmp_path / "all") == digest
    assert sha256_of(tmp_path / "a", tmp_path / "b") == digest


def test_a_second_holder_of_a_lock_waits_for_the_first(tmp_path: Path) -> None:
    path, events = tmp_path / "locks" / "a.lock", queue.Queue[str]()

    def second() -> None:
        with file_lock(path, lambda _: events.put("waits")):
            events.put("holds")

    with file_lock(path, lambda _: events.put("the first waits")):
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert events.get(timeout=30) == "waits"
        assert events.empty()
    thread.join(timeout=30)
    assert events.get_nowait() == "holds"
