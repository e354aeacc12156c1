"""Optional dependencies ("extras"): which are missing, and the command that installs them.

The package is not on the public index, so the command depends on how it was installed (PEP 610):

    pip install -e FOLDER      ->  pip install -e "FOLDER[metrics]"
    pip install FOLDER | FILE  ->  pip install "lapse[metrics] @ file:///..."
    pip install git+URL        ->  pip install "lapse[metrics] @ git+URL@COMMIT"
    anything else              ->  pip install "pycocoevalcap>=1.2" ...
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

DISTRIBUTION = "lapse"


def check_extra(extra: str, modules: Sequence[str], purpose: str) -> None:
    """Raise an error with the install command if a module of an extra is missing.

    Args:
        extra: name of the extra in pyproject.toml.
        modules: importable names, such as "pydicom".
        purpose: what needs them, the subject of the message.

    Raises:
        ValueError: one of the modules is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ValueError(f"{purpose} needs {' and '.join(missing)}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """The pip command that installs an extra of this installation."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # run from a source tree
        return f'pip install -e ".[{extra}]"'
    source = json.loads(distribution.read_text("direct_url.json") or "{}")
    return _from_source(source, extra) or _from_requirements(distribution.requires or [], extra)


def _from_source(source: dict[str, object], extra: str) -> str | None:
    """The command for a direct URL reference; None if its file is gone."""
    url = str(source.get("url", ""))
    parsed = urlparse(url)
    path = Path(unquote(parsed.path))
    if not url or (parsed.scheme == "file" and not path.exists()):
        return None
    match source:
        case {"dir_info": {"editable": True}}:
            return f'pip install -e "{path}[{extra}]"'
        case {"vcs_info": {"vcs": vcs, "commit_id": commit}}:
            return f'pip install "{DISTRIBUTION}[{extra}] @ {vcs}+{url}@{commit}"'
    return f'pip install "{DISTRIBUTION}[{extra}] @ {url}"'


def _from_requirements(requirements: Sequence[str], extra: str) -> str:
    marker = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    packages = [line.partition(";")[0].strip() for line in requirements if marker.search(line)]
    return "pip install " + " ".join(f'"{package}"' for package in packages)
