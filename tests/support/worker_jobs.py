"""Jobs for the tests of the worker pool, in a module that worker processes can import."""

import os
import signal
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Sum:
    """Adds the numbers of a task; "die", "hang" and "error" do that instead."""

    def __call__(self, task, rejected, on_item):
        total, missing = 0, []
        for item in task:
            on_item(str(item))
            if str(item) in rejected:
                missing.append((str(item), rejected[str(item)]))
            elif item == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            elif item == "hang":
                time.sleep(60)
            elif item == "error":
                raise ValueError("this task is wrong")
            else:
                total += item
        return total, tuple(missing)


@dataclass(frozen=True)
class DieAtOnce:
    """Dies before it reports an item."""

    def __call__(self, task, rejected, on_item):
        os._exit(9)
