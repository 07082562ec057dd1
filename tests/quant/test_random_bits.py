"""Philox against the known answers of Random123, and its words against the place of an element."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim.errors import ArgumentError
from hwsim.quant.random_bits import philox_reference, random_words

# Random123, tests/kat_vectors, "philox4x32 10": counter, key, result
KNOWN_ANSWERS = [
    "00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
]


@pytest.mark.parametrize("line", KNOWN_ANSWERS)
def test_reference_gives_the_known_answers(line):
    words = [int(word, 16) for word in line.split()]
    assert list(philox_reference(tuple(words[:4]), tuple(words[4:6]))) == words[6:]


def test_kernel_gives_the_first_known_answer():
    assert [f"{word:08x}" for word in random_words(0, 4)] == KNOWN_ANSWERS[0].split()[6:]


def test_kernel_equals_the_reference(rng):
    for seed, stream, block in rng.integers(0, 1 << 62, (50, 3)).tolist():
        counter = (block & 0xFFFFFFFF, block >> 32, stream & 0xFFFFFFFF, stream >> 32)
        block_words = philox_reference(counter, (seed & 0xFFFFFFFF, seed >> 32))
        if 4 * block + 4 <= 1 << 63:
            assert tuple(random_words(seed, 4, stream=stream, start=4 * block).tolist()) == block_words


def test_words_depend_on_their_number_alone(monkeypatch):
    whole = random_words(7, 300_001, stream=3)
    for start, count in ((0, 1), (1, 2), (3, 7), (5, 0), (12_345, 200_000), (300_000, 1)):
        assert_array_equal(random_words(7, count, stream=3, start=start), whole[start : start + count])
    for threads in ("1", "3"):
        monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
        assert_array_equal(random_words(7, 300_001, stream=3), whole)


def test_streams_and_seeds_differ():
    base = random_words(1, 1000)
    assert (base != random_words(1, 1000, stream=1)).sum() > 990
    assert (base != random_words(2, 1000)).sum() > 990
    assert (base != random_words(1 + (1 << 40), 1000)).sum() > 990


def test_every_bit_is_fair():
    """Each of 32 bits is 1 half the time: 2^20 words, sigma = 0.5 / 2^10, bound 5 sigma."""
    words = random_words(123, 1 << 20)
    share = [float(((words >> np.uint32(bit)) & np.uint32(1)).mean()) for bit in range(32)]
    assert max(abs(value - 0.5) for value in share) < 5 * 0.5 / 2**10


def test_messages():
    with pytest.raises(ArgumentError) as caught:
        random_words(-1, 4)
    assert str(caught.value) == "seed must lie in 0..2^64-1, got -1"
    with pytest.raises(ArgumentError) as caught:
        random_words(0, -4)
    assert str(caught.value) == "start and count must be natural numbers below 2^63, got (0, -4)"
