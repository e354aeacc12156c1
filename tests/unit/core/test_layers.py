"""Imports point down only (docs/explanation/architecture.md), also inside functions."""

import ast
import subprocess
import sys
from pathlib import Path

import lapse

SOURCE = Path(lapse.__file__).parent
LAYERS = (
    ("core",),
    ("config", "images", "metrics"),
    ("data", "phantom"),
    ("models", "evaluation"),
    ("training",),
    ("inference",),
    ("workflows",),
    ("serve",),
    ("cli",),
)
# The order of the packages inside a package; packages of one group do not import each other.
INNER = {
    "data": (
        ("io", "reports", "tasks"),
        ("datasets",),
        ("store", "verify"),
        ("loading", "prepare"),
    ),
    "phantom": (("patients",), ("rendering", "text"), ("dataset",), ("defects",)),
    "models": (("layers",), ("backbones",), ("pretraining", "vqa")),
}
LEVEL = {package: level for level, group in enumerate(LAYERS) for package in group}
INNER_LEVEL = {
    package: {inner: level for level, group in enumerate(groups) for inner in group}
    for package, groups in INNER.items()
}
SAME_LAYER = {("images", "config"), ("metrics", "config")}
WITHOUT_TORCH = (
    "core",
    "config",
    "images",
    "metrics",
    "data.datasets",
    "data.store",
    "data.tasks",
)


def imports_of(path: Path) -> set[str]:
    """Dotted names of every import statement of a file, those inside functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(files: dict[str, set[str]]) -> list[str]:
    """One sentence for each import that breaks the order; `files` maps "package/file.py" to
    imports."""
    broken = []
    for file, imports in files.items():
        package, *inner = Path(file).with_suffix("").parts
        for name in sorted(imports):
            library, *parts = name.split(".")
            if library != "lapse" or not parts or parts[0] not in LEVEL:
                continue
            if parts[0] == package:
                order = INNER_LEVEL.get(package, {})
                here, there = order.get(inner[0]), order.get(parts[1] if len(parts) > 1 else "")
                is_down = here is None or there is None or inner[0] == parts[1] or there < here
            else:
                is_down = LEVEL[parts[0]] < LEVEL[package] or (package, parts[0]) in SAME_LAYER
            if not is_down:
                broken.append(f"{file} imports {name}")
    return broken


def source_files() -> dict[str, set[str]]:
    return {
        str(path.relative_to(SOURCE)): imports_of(path)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.parent != SOURCE and path.relative_to(SOURCE).parts[0] != "assets"
    }


def test_the_root_has_no_other_modules():
    assert sorted(path.name for path in SOURCE.glob("*.py")) == ["__init__.py", "__main__.py"]


def test_every_package_has_a_layer():
    assert {Path(file).parts[0] for file in source_files()} == set(LEVEL)


def test_every_inner_package_has_a_group():
    for package, order in INNER_LEVEL.items():
        folders = {path.parent.name for path in (SOURCE / package).glob("*/__init__.py")}
        assert folders == set(order), package


def test_imports_point_down_only():
    assert violations(source_files()) == []


def test_the_check_sees_a_violation():
    planted = {
        "models/layers/adapter.py": {"lapse.training.trainer.train", "lapse.models.backbones.gpt2"},
        "data/tasks/cap.py": {"lapse.data.io.skip_log", "lapse.phantom.dataset"},
        "images/read.py": {"lapse.config.base", "lapse.metrics.java"},
    }
    assert violations(planted) == [
        "models/layers/adapter.py imports lapse.models.backbones.gpt2",
        "models/layers/adapter.py imports lapse.training.trainer.train",
        "data/tasks/cap.py imports lapse.data.io.skip_log",
        "data/tasks/cap.py imports lapse.phantom.dataset",
        "images/read.py imports lapse.metrics.java",
    ]


def test_core_needs_the_standard_library_and_numpy_only():
    allowed = {"lapse", "__future__", "numpy"}
    # Tokenizers are loaded when they are built, not when their module is imported.
    lazy = {("tokenizer.py", "tokenizers"), ("word_tokenizer.py", "tokenizers")}
    for path in (SOURCE / "core").glob("*.py"):
        for name in imports_of(path):
            top = name.split(".")[0]
            assert top in sys.stdlib_module_names or top in allowed or (path.name, top) in lazy


def test_packages_below_the_models_never_import_torch():
    for package in WITHOUT_TORCH:
        for path in (SOURCE / package.replace(".", "/")).rglob("*.py"):
            tops = {name.split(".")[0] for name in imports_of(path)}
            assert "torch" not in tops or path.name == "bertscore.py", path


def test_help_configuration_and_scoring_do_not_load_torch():
    code = (
        "import sys\n"
        "from lapse.config import load_config\n"
        "import lapse.cli.main, lapse.evaluation.compare_files, lapse.evaluation.evaluate_file\n"
        "load_config('pretrain-lapse')\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
