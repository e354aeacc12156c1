"""A hub id pins its revision."""

import pytest

from lapse.core.hub import parse_hub_id

REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_a_pinned_id_has_a_repository_and_a_revision():
    assert parse_hub_id(f"org-1/model.v2@{REVISION}") == ("org-1/model.v2", REVISION)


@pytest.mark.parametrize(
    "source",
    [
        "org/name",
        "org/name@main",
        f"org/name@{REVISION[:39]}",
        f"org/name@{REVISION.upper()}",
        f"name@{REVISION}",
        f"a/b/c@{REVISION}",
        f"org/name@{REVISION}\n",
    ],
)
def test_anything_else_is_not_a_hub_id(source):
    assert parse_hub_id(source) is None
