"""A space of eight small INT4 machines."""

from __future__ import annotations

import copy

import pytest

from tests import samples

SPACE = copy.deepcopy(samples.SPACE)
SPACE["machine"]["array"]["overlap"] = "fill"
SPACE["parameters"]["dataflow"] = {"choice": ["ws", "os"], "sets": "array.dataflow"}


@pytest.fixture
def small():
    """The table of the space, free to change."""
    return copy.deepcopy(SPACE)
