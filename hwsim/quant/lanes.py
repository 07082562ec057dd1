"""Sixteen elements at once: the two inner loops that must run at the speed of memory, as vector instructions.

Numba unrolls a loop of 16 before LLVM can vectorise it, and spends more on bounds of slices than on the arithmetic:
the loop forms of these two are 20 and 2 times slower. The instructions here are LLVM's, so every processor has them;
those with shorter vectors take several. No fast-math flag is set on any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hwsim.jit import intrinsic, ir, types

LANES = 16

_WORD, _FLOAT = ir.IntType(32), ir.FloatType()
_WORDS, _FLOATS = ir.VectorType(_WORD, LANES), ir.VectorType(_FLOAT, LANES)


def _constant(word: int) -> Any:
    return ir.Constant(_WORDS, [word] * LANES)


def _repeated(build: Any, value: Any, vector: Any) -> Any:
    empty = ir.Constant(vector, ir.Undefined)
    first = build.insert_element(empty, value, ir.Constant(_WORD, 0))
    return build.shuffle_vector(first, empty, _constant(0))


def _pointer(compiler: Any, build: Any, kind: Any, array: Any, at: Any, vector: Any) -> Any:
    data = compiler.make_array(kind)(compiler, build, array).data
    return build.bitcast(build.gep(data, [at]), vector.as_pointer())


def _largest_of_16(context: Any, bits: Any, at: Any, ceiling: Any) -> Any:
    """The largest of ``bits[at : at + 16] & 0x7FFFFFFF``, words above `ceiling` counted as 0; uint32."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        loaded = build.load(_pointer(compiler, build, signature.args[0], args[0], args[1], _WORDS))
        loaded.align = 4
        best = build.and_(loaded, _constant(0x7FFFFFFF))
        limit = _repeated(build, args[2], _WORDS)
        best = build.select(build.icmp_unsigned("<=", best, limit), best, _constant(0))
        half = LANES // 2
        while half:
            mask, empty = ir.VectorType(_WORD, half), ir.Constant(best.type, ir.Undefined)
            low = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half))))
            high = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half, 2 * half))))
            best = build.select(build.icmp_unsigned(">", low, high), low, high)
            half //= 2
        return build.extract_element(best, ir.Constant(_WORD, 0))

    return types.uint32(bits, types.intp, types.uint32), generate


def _fake(divide: bool) -> Callable[..., Any]:
    def _fake_16(
        context: Any,
        source: Any,
        target: Any,
        at: Any,
        m: Any,
        d: Any,
        top: Any,
        low: Any,
        offset: Any,
        zero: Any,
        nan: Any,
    ) -> Any:
        """``target[at + i] = (element nearest to source[at + i] * m) * d`` for 16 i; see `bits.rounded` and
        `bits.Grid`."""

        def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
            m, d, zero, nan = (_repeated(build, args[at], _FLOATS) for at in (3, 4, 8, 9))
            top, low, offset = (_repeated(build, args[at], _WORDS) for at in (5, 6, 7))
            loaded = build.load(_pointer(compiler, build, signature.args[0], args[0], args[2], _FLOATS))
            loaded.align = 4
            bits = build.bitcast(build.fdiv(loaded, m) if divide else build.fmul(loaded, m), _WORDS)
            magnitude = build.and_(bits, _constant(0x7FFFFFFF))
            held = build.select(build.icmp_unsigned("<", magnitude, top), magnitude, top)
            exponent = build.select(build.icmp_unsigned(">", held, low), held, low)
            exponent = build.and_(exponent, _constant(0x7F800000))
            anchor = build.bitcast(build.add(exponent, offset), _FLOATS)
            near = build.fsub(build.fadd(build.bitcast(held, _FLOATS), anchor), anchor)
            sign = build.and_(bits, _constant(0x80000000))
            signed = build.bitcast(build.or_(build.bitcast(near, _WORDS), sign), _FLOATS)
            lost = build.icmp_unsigned(">", magnitude, _constant(0x7F800000))
            value = build.fmul(build.fadd(build.select(lost, nan, signed), zero), d)
            stored = build.store(value, _pointer(compiler, build, signature.args[1], args[1], args[2], _FLOATS))
            stored.align = 4
            return compiler.get_dummy_value()

        number, word = types.float32, types.uint32
        return types.void(source, target, types.intp, number, number, word, word, word, number, number), generate

    return _fake_16


largest_of_16: Any = intrinsic(_largest_of_16)
fake_16: Any = intrinsic(_fake(divide=False))
fake_16_divided: Any = intrinsic(_fake(divide=True))
