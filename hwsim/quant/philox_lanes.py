"""Sixteen blocks of Philox at once, as vector instructions: Numba's loop over blocks takes three times as long."""

from __future__ import annotations

from typing import Any

from hwsim.jit import intrinsic, ir, types
from hwsim.quant.lanes import LANES, LONGS, WORDS, repeated, store


def _philox_16(context: Any, words: Any, at: Any, block: Any, key: Any) -> Any:
    """The 64 words of blocks ``block`` to ``block + 15`` of `random_bits.philox_block` into words[at..]."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        def long(value: int) -> Any:
            return ir.Constant(LONGS, [value] * LANES)

        half, half_of = long(0xFFFFFFFF), long(32)
        data = compiler.make_array(signature.args[3])(compiler, build, args[3]).data
        k0, k1, c2, c3 = (
            repeated(build, build.load(build.gep(data, [ir.Constant(args[1].type, part)])), LONGS)
            for part in range(4)
        )
        number = build.add(repeated(build, args[2], LONGS), ir.Constant(LONGS, list(range(LANES))))
        c0, c1 = build.and_(number, half), build.lshr(number, half_of)
        for _ in range(10):
            one, other = (build.mul(long(m), c) for m, c in ((0xD2511F53, c0), (0xCD9E8D57, c2)))
            c0 = build.xor(build.xor(build.lshr(other, half_of), c1), k0)
            c1, c2 = build.and_(other, half), build.xor(build.xor(build.lshr(one, half_of), c3), k1)
            c3 = build.and_(one, half)
            k0, k1 = (build.and_(build.add(k, long(w)), half) for k, w in ((k0, 0x9E3779B9), (k1, 0xBB67AE85)))
        lanes = [build.trunc(c, WORDS) for c in (c0, c1, c2, c3)]
        for quarter in range(4):
            taken = [4 * quarter + lane // 4 + LANES * (lane % 2) for lane in range(LANES)]
            pairs = [build.shuffle_vector(a, b, ir.Constant(WORDS, taken)) for a, b in (lanes[:2], lanes[2:])]
            chosen = ir.Constant(WORDS, [lane if lane % 4 < 2 else LANES + lane for lane in range(LANES)])
            place = build.add(args[1], ir.Constant(args[1].type, LANES * quarter))
            store(compiler, build, signature.args[0], args[0], place, build.shuffle_vector(*pairs, chosen))
        return compiler.get_dummy_value()

    return types.void(words, types.intp, types.uint64, key), generate


philox_16: Any = intrinsic(_philox_16)
