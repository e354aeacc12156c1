"""Refusals that need no Java; the scores are tested in tests/integration/test_java_metrics.py."""

import pytest

from lapse.metrics.captioning import Captioning


def test_no_prediction_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Captioning()([])
