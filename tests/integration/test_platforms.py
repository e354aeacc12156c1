"""Every module can be imported without the names that Windows lacks."""

import os
import subprocess
import sys

CODE = """
import multiprocessing.context, os, pkgutil, signal, sys
import torch, torch.utils.data, typer, pydicom, pyarrow.parquet, safetensors.torch, huggingface_hub
import multiprocessing.popen_fork

for module in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[module] = None
for owner, names in (
    (signal, ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP", "pthread_sigmask")),
    (os, ("fork", "register_at_fork", "pread", "preadv", "getuid", "geteuid", "nice")),
    (multiprocessing.context, ("ForkContext", "ForkProcess", "ForkServerContext")),
):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)

import lapse

count = 0
for info in pkgutil.walk_packages(lapse.__path__, "lapse."):
    if not info.name.endswith("__main__"):
        __import__(info.name)
        count += 1
print(count)

from pathlib import Path
import numpy as np
from lapse.core.files import file_lock
from lapse.data.store.array_file import ArrayFile

np.save(sys.argv[1], np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
assert ArrayFile(Path(sys.argv[1])).read(1, 2).tolist() == [[[4, 5], [6, 7]], [[8, 9], [10, 11]]]
try:
    with file_lock(Path(sys.argv[1] + ".lock"), print):
        pass
except ValueError as error:
    print(error)
"""


def test_modules_import_without_posix_names_and_say_what_does_not_work(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "a.npy")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, message = done.stdout.strip().splitlines()
    assert int(count) > 200
    assert message.startswith("this platform has no flock")
