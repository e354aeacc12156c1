"""The Dockerfile: hadolint, rules of the project, and a run where docker is available."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import time
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.serve.app import routes
from lapse.serve.limits import DEFAULT
from lapse.serve.service import ServedModel, Service

ROOT = Path(__file__).parents[2]
TOKEN = "t" * 40
ROUTES = routes(Service(ServedModel(), DEFAULT)).routes
HADOLINT = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions(text):
    """(instruction, arguments), continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def faults(text):
    """One sentence for each rule that a Dockerfile breaks."""
    parts = instructions(text)
    last = max(number for number, (name, _) in enumerate(parts) if name == "FROM")
    final = parts[last:]
    by_name = dict(final)
    broken = []
    for name, value in parts:
        if name == "FROM" and not re.match(r"\S+:\d+(\.\d+)+[\w.-]*( AS \w+)?$", value):
            broken.append("an image without an exact version")
        if name == "RUN" and "pip install" in value:  # hadolint knows pip without a path only
            if "--no-cache-dir" not in value:
                broken.append("pip keeps its cache")
            if "-c constraints.txt" not in value:
                broken.append("pip without versions")
        if name in {"ENV", "ARG"} and re.search(r"TOKEN|SECRET|PASSWORD", value):
            broken.append("a secret in the image")
        if name == "COPY" and value.split()[0] == ".":
            broken.append("the complete folder is copied")
    if not re.fullmatch(r"[1-9]\d+(:[1-9]\d+)?", by_name.get("USER", "")):
        broken.append("the last user is not a number above 0")
    if "HEALTHCHECK" not in by_name:
        broken.append("no HEALTHCHECK")
    if "--token-file" not in by_name.get("ENTRYPOINT", ""):
        broken.append("no token")
    for option in (
        "--read-only",
        "--tmpfs /tmp",
        "--shm-size",
        "--cap-drop ALL",
        "no-new-privileges",
    ):
        if option not in text:
            broken.append(f"its comment does not state {option}")
    return broken


def hadolint(text):
    """The codes of the rules of hadolint that a Dockerfile breaks."""
    done = subprocess.run(
        [HADOLINT, "--format", "json", "-"], input=text, capture_output=True, text=True, check=False
    )
    return [item["code"] for item in json.loads(done.stdout)]


def test_the_dockerfile_breaks_no_rule():
    assert faults(TEXT) == []


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint")
def test_hadolint_accepts_the_dockerfile_and_sees_faults():
    assert hadolint(TEXT) == []
    changed = {
        "DL3020": ("COPY src ./src", "ADD src ./src"),
        "DL3025": ('ENTRYPOINT ["lapse", "serve",', "ENTRYPOINT lapse serve"),
        "DL3004": ("RUN python -m", "RUN sudo python -m"),
    }
    assert [hadolint(TEXT.replace(*change)) for change in changed.values()] == [
        [code] for code in changed
    ]


def test_paths_extras_and_options_of_the_dockerfile_exist():
    sources = [value.split()[:-1] for name, value in instructions(TEXT) if name == "COPY"]
    assert all((ROOT / path).exists() for paths in sources for path in paths if path[0] not in "-/")
    extras = re.search(r'"\.\[([\w,]+)\]"', TEXT).group(1).split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"]) and "lapse" in project["scripts"]
    program, *words = json.loads(dict(instructions(TEXT))["ENTRYPOINT"])
    shown = CliRunner().invoke(app, [words[0], "--help"], terminal_width=200).output
    assert program == "lapse" and all(word in shown for word in words if word.startswith("--"))
    assert "/health" in TEXT and any(route.path == "/health" for route in ROUTES)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("python:3.12.8-slim-bookworm AS", "python:latest AS", "exact version"),
        (" --no-cache-dir", "", "keeps its cache"),
        (" -c constraints.txt", "", "without versions"),
        ("COPY src ./src", "COPY . .", "complete folder"),
        ("USER 10001:10001", "USER root", "last user"),
        ("USER 10001:10001\n", "", "last user"),
        ("HEALTHCHECK", "LABEL", "HEALTHCHECK"),
        ("ENV PATH", "ENV TOKEN=x PATH", "secret"),
        (', "--token-file", "/run/token"', "", "no token"),
        ("--read-only", "", "--read-only"),
        (" --tmpfs /tmp:size=16m,noexec", "", "--tmpfs"),
    ],
)
def test_every_rule_sees_its_fault(old, new, fault):
    assert old in TEXT
    assert any(fault in line for line in faults(TEXT.replace(old, new)))


def test_the_image_receives_only_what_it_needs():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    copied = {
        part for name, value in instructions(TEXT) if name == "COPY" for part in value.split()[:-1]
    }
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {part for part in copied if not part.startswith(("-", "/"))} == kept


def has_docker():
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not has_docker(), reason="needs a running docker")
def test_the_image_serves_on_a_read_only_file_system(tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o400)
    os.chown(token, 10001, 10001)
    subprocess.run(["docker", "build", "-q", "-t", "lapse-test", "."], cwd=ROOT, check=True)
    command = [
        "docker", "run", "--rm", "--detach", "--read-only", "--tmpfs", "/tmp:size=16m,noexec",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--shm-size",
        "64m", "--memory", "3g", "--pids-limit", "256",
        "-v", f"{token}:/run/token:ro", "lapse-test",
    ]  # fmt: skip
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        health = ["docker", "inspect", "-f", "{{.State.Health.Status}}", name]
        deadline = time.monotonic() + 180
        while (
            "healthy" not in subprocess.run(health, capture_output=True, text=True).stdout.split()
        ):
            assert time.monotonic() < deadline
            time.sleep(1)
        changed = subprocess.run(["docker", "diff", name], capture_output=True, check=True).stdout
        assert changed == b""
    finally:
        subprocess.run(["docker", "stop", name], capture_output=True, check=False)
