"""Random words from a counter: Philox4x32-10.

Decides which random word an element gets: the one numbered by its place in the tensor, under a key (the seed) and a
stream number. No word depends on another, so results do not change with threads or pieces, and any range of
words can be made alone. A generator with a state (numpy's) was rejected for that reason.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.lanes import LANES
from hwsim.quant.philox_lanes import philox_16

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

_M0, _M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_W0, _W1 = np.uint64(WEYL[0]), np.uint64(WEYL[1])
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_GRAIN = 1 << 14


def random_words(seed: int, count: int, *, stream: int = 0, start: int = 0) -> NDArray[np.uint32]:
    """Words `start` to ``start + count`` of a stream.

    Word i is lane ``i mod 4`` of the block whose counter is ``(i div 4, stream)``, both 64 bits, low half first; the
    key is the seed, low half first.

    Args:
        seed: 0 to 2^64 - 1.
        count: how many words.
        stream: 0 to 2^64 - 1; streams of one seed are independent.
        start: number of the first word.

    Returns:
        uint32 ``[count]``, uniform.

    Raises:
        ArgumentError: an argument outside its range.
    """
    key = stream_key(seed, stream)
    if count < 0 or start < 0 or start + count > 1 << 63:
        raise ArgumentError("start and count must be natural numbers below 2^63", got=(start, count))
    words = np.empty(count, dtype=np.uint32)
    first = start // 4
    blocks = (start + count + 3) // 4 - first
    parallel_rows(fill_words, blocks, words, np.int64(first), np.int64(start - 4 * first), key, grain=_GRAIN)
    return words


def stream_key(seed: int, stream: int = 0) -> NDArray[np.uint64]:
    """Seed and stream as `fill_words` takes them: four halves of 32 bits, low half first.

    Raises:
        ArgumentError: an argument outside 0..2^64-1.
    """
    for name, value in (("seed", seed), ("stream", stream)):
        if not 0 <= value < 1 << 64:
            raise ArgumentError(f"{name} must lie in 0..2^64-1", got=value)
    return np.array([seed & 0xFFFFFFFF, seed >> 32, stream & 0xFFFFFFFF, stream >> 32], dtype=np.uint64)


def philox_reference(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """One block of four words, in the words of the paper: ten rounds of two multiplications and a key that grows."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = divmod(MULTIPLIERS[0] * c0, 1 << 32)
        high1, low1 = divmod(MULTIPLIERS[1] * c2, 1 << 32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) % (1 << 32), (k1 + WEYL[1]) % (1 << 32)
    return c0, c1, c2, c3


@njit(inline="always")
def philox_block(block: Any, stream_low: Any, stream_high: Any, seed_low: Any, seed_high: Any) -> Any:
    """Four words, uint64 below 2^32, of block number `block` (uint64); the other four are uint64 below 2^32."""
    c0, c1, c2, c3 = block & _LOW, block >> _HALF, stream_low, stream_high
    k0, k1 = seed_low, seed_high
    for _ in range(ROUNDS):
        product0 = _M0 * c0
        product1 = _M1 * c2
        c0 = (product1 >> _HALF) ^ c1 ^ k0
        c1 = product1 & _LOW
        c2 = (product0 >> _HALF) ^ c3 ^ k1
        c3 = product0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@njit
def fill_words(begin: int, end: int, words: Any, first: int, skipped: int, key: Any) -> None:
    """Blocks ``first + begin`` to ``first + end``; `skipped` words of block `first` lie before ``words[0]``."""
    row = begin
    while row < end:
        place = 4 * row - skipped
        if row + LANES <= end and place >= 0 and place + 4 * LANES <= words.size:
            philox_16(words, place, np.uint64(first + row), key)
            row += LANES
            continue
        w0, w1, w2, w3 = philox_block(np.uint64(first + row), key[2], key[3], key[0], key[1])
        for lane, word in enumerate((w0, w1, w2, w3)):
            if 0 <= place + lane < words.size:
                words[place + lane] = word
        row += 1
