"""The axes of a matrix exchanged in memory."""

import numpy as np
import pytest

from hwsim.quant.turning import turned


@pytest.mark.parametrize("shape", [(1, 1), (33, 64), (64, 33), (2, 31, 5), (3, 2, 100, 7), (0, 4), (2, 4, 0)])
def test_it_is_the_transpose(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = turned(x)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.swapaxes(x, -1, -2))
    kept = np.swapaxes(x, -1, -2)  # another layout in memory
    np.testing.assert_array_equal(turned(kept), x)
