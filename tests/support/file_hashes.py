"""SHA-256 of the files below a folder, to compare folders byte for byte."""

import hashlib
from pathlib import Path


def file_hashes(root: Path, suffix: str = "") -> dict[str, str]:
    """Relative path -> SHA-256 of every file whose name ends in `suffix`."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob(f"*{suffix}"))
        if path.is_file()
    }
