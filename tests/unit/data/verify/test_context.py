"""The progress of the checks."""

from lapse.data.verify.context import ProgressCounter


def test_done_never_exceeds_the_total():
    calls = []
    progress = ProgressCounter(lambda done, total: calls.append((done, total)), every=1)
    progress.expect(2)
    for _ in range(4):
        progress.step()
    assert calls == [(0, 2), (1, 2), (2, 2), (3, 3), (4, 4)]
