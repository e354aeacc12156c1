"""`--promises FILE`: the counts of docs/explanation/promises.md, from the tests that prove them.

Stop signals that the shell ignores (nohup, background jobs of scripts) act as usual in the tests
and in the programs that they start.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_configure() -> None:
    usual = {signal.SIGINT: signal.default_int_handler}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual.get(number, signal.SIG_DFL))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", help="JSON file to add the counts of kept promises to")


@pytest.fixture
def promise(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Assert that all trials kept a promise and that every sabotaged one broke it; note both.

    A sabotaged trial runs without the guard, so a test that could not fail is found.
    """

    def check(number: int, kept: int, trials: int, broken: int = 0, sabotaged: int = 0) -> None:
        assert (kept, broken) == (trials, sabotaged)
        assert trials
        if path := request.config.getoption("--promises"):
            file = Path(path)
            counts = json.loads(file.read_text("utf-8")) if file.exists() else {}
            name = request.node.nodeid.partition("tests/")[2] or request.node.nodeid
            counts.setdefault(str(number), {})[name] = {
                "kept": kept, "trials": trials, "broken": broken, "sabotaged": sabotaged,
            }  # fmt: skip
            counts = {key: dict(sorted(counts[key].items())) for key in sorted(counts, key=int)}
            file.write_text(json.dumps(counts, indent=1) + "\n", "utf-8")

    return check
