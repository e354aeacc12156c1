"""The documentation: links, generated reference pages, and the commands, keys and paths in it."""

import json
import re
import shlex
from pathlib import Path

import pytest
from sitegen.api import api_pages
from sitegen.commands import commands, commands_page, options_of
from sitegen.configuration import all_classes, configuration_page, descriptions
from sitegen.pages import DOCS, ROOT, copy_pages, linked_files, sources
from sitegen.promises import PROMISES, promises_page

from lapse.config import load_config, preset_names

OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in OUTSIDE)]
COMMANDS = dict(commands())
# Placeholders in example commands, and options of other programs before `-m lapse`.
PLACEHOLDER = re.compile(r"^[A-Z][A-Z_0-9]*$")
# They quote commands of earlier versions.
RECORDS = {"CHANGELOG.md", "log.md", *(f"table{number}.md" for number in range(1, 7))}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_lines(page: Path) -> list[str]:
    """The lines of shell blocks and of inline code that call lapse."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(lapse [^`\n]*)`", text)
    return [part.strip() for line in lines for part in re.split(r"&&|\|", line)]


def lapse_calls(page: Path) -> list[list[str]]:
    """The words behind `lapse` or `-m lapse` of every call in a page."""
    calls = []
    for line in code_lines(page):
        words = shlex.split(line, comments=True)
        if "lapse" in words and (words[0] == "lapse" or "-m" in words or words[0] == "srun"):
            call = words[words.index("lapse") + 1 :]
            calls.append(call[2:] if call[:1] == ["--allow"] else call)
    return calls


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_internal_link_leads_to_a_file(page):
    linked_files(page)


def test_a_broken_link_is_found(tmp_path):
    page = DOCS / "index.md"
    text = page.read_text("utf-8")
    broken = tmp_path / "docs.md"
    broken.write_text(text + "\n[x](missing.md)\n")
    with pytest.raises(ValueError, match="is not"):
        linked_files(broken)


def test_the_site_has_every_page_with_links_between_them(tmp_path):
    copy_pages(tmp_path)
    for page in sources():
        assert (tmp_path / page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT)).is_file()
    log = (tmp_path / "explanation" / "evaluation.md").read_text("utf-8")
    assert "](../experiments/log.md)" in log and "../../" not in log


def test_the_navigation_names_existing_pages():
    config = (ROOT / "zensical.toml").read_text("utf-8")
    generated = {"tutorial/compare_two_films.md", *(f"reference/{name}" for name in (
        "commands.md", "configuration.md", "api/index.md"))}  # fmt: skip
    pages = {
        path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()
        for path in sources()
    }
    for name in re.findall(r'"([^"\s]+\.md)"', config):
        assert name in pages | generated, name


def test_the_command_reference_has_every_command_and_option():
    page = commands_page()
    for name, command in COMMANDS.items():
        section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert section, name
        assert command.help.split("\n")[0].split(".")[0] in section
        for option in options_of(command) - {"--help", "-h"}:
            assert f"`{option}`" in section, (name, option)


def test_the_configuration_reference_has_every_key_with_a_description():
    page = configuration_page()
    for kind in all_classes():
        texts = descriptions(kind)
        for key in kind.model_fields:
            assert f"| `{key}` |" in page
            assert texts.get(key, "").strip(), f"{kind.__name__}.{key} has no description"
            assert texts[key].replace("|", "\\|") in page
    assert all(f"| `{preset}` |" in page for preset in preset_names())


def test_the_api_reference_has_every_public_module():
    text = "\n".join(api_pages().values())
    source = ROOT / "src" / "lapse"
    for path in source.rglob("*.py"):
        parts = path.relative_to(source.parent).with_suffix("").parts
        if path.stem[0] != "_" and parts[1] != "cli":
            assert f"::: {'.'.join(parts)}\n" in f"{text}\n", parts


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in RECORDS], ids=name_of)
def test_commands_in_a_page_use_existing_options_and_keys(page):
    for words in lapse_calls(page):
        spellings = (f"lapse {' '.join(words[:count])}" for count in (2, 1))
        name = next((spelling for spelling in spellings if spelling in COMMANDS), None)
        if name is None:
            assert not words or words[0][0] == "-" or PLACEHOLDER.match(words[0]), words
            continue
        known = options_of(COMMANDS[name])
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in known, f"{name} has no option {word}"
        if name == "lapse train":
            check_training(words[1:])


def check_training(words: list[str]) -> None:
    """The preset exists, and overrides name existing keys."""
    preset = next((word for word in words if word in preset_names()), None)
    overrides = [word for word in words if re.match(r"^[a-z_.]+=", word)]
    assert preset or not words or words[0].endswith(".yaml") or words[0] == "...", words
    plug_in = [word for word in overrides if "my_package" in word]
    if preset and overrides and not plug_in:
        load_config(preset, [word.replace("=...", "=1") for word in overrides])


def test_paths_named_in_documentation_and_code_exist():
    """`docs/...md`, `tests/...py`, `experiments/...` and module paths, wherever they are named."""
    pattern = re.compile(
        r"\b((?:docs|tests|experiments|benchmarks)/[\w./-]+\.(?:md|py|yaml|sbatch|png))"
    )
    files = [page for page in PAGES if page.name not in RECORDS]
    for folder in ("src", "tests", "benchmarks", "experiments"):
        files += [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.yaml")]
    missing = {
        f"{name_of(file)}: {path}"
        for file in files
        if file != Path(__file__)
        for path in pattern.findall(file.read_text("utf-8"))
        if not (ROOT / path).exists()
    }
    assert not missing, "\n".join(sorted(missing))


def test_modules_named_in_pages_exist():
    packages = [path.parent.name for path in (ROOT / "src" / "lapse").glob("*/__init__.py")]
    pattern = re.compile(rf"`((?:{'|'.join(packages)})/[\w/]+\.py)`")
    dotted = re.compile(r"`(lapse(?:\.[a-z_0-9]+)+)[`(]")
    source = ROOT / "src"
    for page in PAGES:
        if page.name in RECORDS:
            continue
        text = page.read_text("utf-8")
        for path in pattern.findall(text):
            assert (source / "lapse" / path).is_file(), f"{name_of(page)}: {path}"
        for name in dotted.findall(text):
            module = source / name.replace(".", "/")
            exists = module.is_dir() or module.with_suffix(".py").is_file()
            inside = module.parent.with_suffix(".py")
            is_member = inside.is_file() and module.name in inside.read_text("utf-8")
            assert exists or is_member or name in {"lapse.load"}, f"{name_of(page)}: {name}"


def test_every_page_of_the_four_sections_is_in_the_navigation():
    config = (ROOT / "zensical.toml").read_text("utf-8")
    for section in ("tutorial", "how-to", "reference", "explanation"):
        for page in (DOCS / section).glob("*.md"):
            assert f'"{section}/{page.name}"' in config, name_of(page)


def test_the_page_of_promises_has_only_kept_ones(tmp_path):
    path = DOCS / "explanation" / "promises.json"
    page = promises_page(path)
    assert all(f"| {number} | {text} |" in page for number, text in PROMISES.items())
    assert path.with_suffix(".md").read_text("utf-8") == page
    counts = json.loads(path.read_text("utf-8"))
    test = next(iter(counts["1"].values()))
    test["kept"] -= 1
    (tmp_path / "counts.json").write_text(json.dumps(counts), "utf-8")
    with pytest.raises(ValueError, match=r"promise 1: \d+ of \d+ kept"):
        promises_page(tmp_path / "counts.json")
    del counts["1"]
    (tmp_path / "counts.json").write_text(json.dumps(counts), "utf-8")
    with pytest.raises(ValueError, match="no count of promise 1: run its tests"):
        promises_page(tmp_path / "counts.json")


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial/two-films.md"])
def test_pages_quote_the_current_results_of_the_packaged_model(name):
    results = (DOCS / "explanation" / "results.md").read_text("utf-8")
    values, baselines = [], []
    for films in ("coarse tier", "fine tier", "portable films"):
        row = re.search(rf"above the best image-blind baseline, {films} \|.*", results).group()
        value, baseline = re.search(r"(0\.\d+) \[.*\] against (0\.\d+)", row).groups()
        values.append(f"{float(value):.2f}"[1:])
        baselines.append(f"{float(baseline):.2f}"[1:])
    text = (ROOT / name).read_text("utf-8")
    for quote in (
        "is {} on clean films, {} in the fine tier and {} on portable films".format(*values),
        "where the best image-blind baselines have {}, {} and {}".format(*baselines),
    ):
        assert quote in text
