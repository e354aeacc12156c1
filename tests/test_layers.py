"""Imports point only to a line above (docs/architecture.md section 2), hidden ones included."""

import ast
from pathlib import Path

import lapse

SOURCE = Path(lapse.__file__).parent
LAYERS = (
    ("types", "counted", "grammar", "registry"),
    ("config", "text", "images"),
    ("batch", "data", "phantom", "tasks", "models", "metrics"),
    (
        "methods",
        "systems",
        "samples",
        "baselines",
        "probes",
        "trust",
        "predictions",
        "subgroups",
        "score_tables",
    ),
    ("loader", "optim", "checkpoint", "world"),
    ("runs", "saved", "parallel", "features"),
    ("watch", "certainty", "begin"),
    ("train", "predict", "evaluate", "tables", "report"),
    ("answer", "harness", "web", "terminal", "bench"),
    ("pretrained",),
    ("demo",),
    ("commands",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SIBLINGS = {
    "config",
    "bench",
    "images",
    "phantom",
    "data",
    "models",
    "metrics",
    "predictions",
    "commands",
    "demo",
    "harness",
    "pretrained",
    "report",
}
STDLIB_ONLY = set(LAYERS[0])
# registry and counted lean on types, and nothing else inside line 1 leans on a neighbour.
LINE_ONE = {("registry", "types"), ("grammar", "types")}


def imports_of(path: Path) -> set[str]:
    """Dotted names of every import statement of a file, those inside functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def violations(files: dict[str, set[str]]) -> list[str]:
    """Sentences for every import that breaks the order; `files` maps a room/file to imports."""
    bad = []
    for file, imports in files.items():
        room = file.split("/")[0].removesuffix(".py")
        for name in sorted(imports):
            parts = name.split(".")
            if parts[0] != "lapse" or len(parts) < 2 or parts[1] not in LEVEL:
                continue
            target = parts[1]
            same_room_allowed = target == room and room in SIBLINGS
            if same_room_allowed or (room, target) in LINE_ONE:
                continue
            if LEVEL[target] >= LEVEL[room]:
                bad.append(f"{file} imports {name}")
    return bad


def source_files() -> dict[str, set[str]]:
    return {
        str(path.relative_to(SOURCE)): imports_of(path)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent != SOURCE or path.stem not in {"__init__", "__main__"}
        if room_of(path) != "assets"
    }


def test_every_room_has_a_line():
    unknown = {room_of(SOURCE / file) for file in source_files()} - set(LEVEL)
    assert not unknown


def test_imports_point_upwards_only():
    assert violations(source_files()) == []


def test_the_check_sees_a_violation():
    planted = {"models/encoder.py": {"lapse.training.trainer.train"}, "tasks/cap.py": {"lapse.data.tasks.aref"}}
    assert violations(planted) == [
        "models/encoder.py imports lapse.training.trainer.train",
        "tasks/cap.py imports lapse.data.tasks.aref",
    ]


def test_line_one_is_standard_library_only():
    import sys

    for room in STDLIB_ONLY:
        for name in imports_of(SOURCE / f"{room}.py"):
            top = name.split(".")[0]
            assert top in sys.stdlib_module_names or top in {"lapse", "__future__"}, (room, name)


def test_help_and_config_errors_do_not_wait_for_torch():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from lapse.config import load_config\n"
        "import lapse.cli.main, lapse.evaluation.evaluate\n"
        "load_config('pretrain-lapse')\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
