"""Sixteen elements at once: the inner loops that must run at the speed of memory, as vector instructions.

Numba unrolls a loop of 16 before LLVM can vectorise it, and spends more on bounds of slices than on the arithmetic:
the loop forms of the first two are 20 and 2 times slower. The instructions here are LLVM's, so every processor has
them; those with shorter vectors take several. No fast-math flag is set on any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hwsim.jit import intrinsic, ir, types

LANES = 16

WORD, _FLOAT, _LONG, _DOUBLE = ir.IntType(32), ir.FloatType(), ir.IntType(64), ir.DoubleType()
WORDS, FLOATS, LONGS, _DOUBLES = (ir.VectorType(kind, LANES) for kind in (WORD, _FLOAT, _LONG, _DOUBLE))


def constant(word: int) -> Any:
    """A word in all lanes."""
    return ir.Constant(WORDS, [word] * LANES)


def repeated(build: Any, value: Any, vector: Any) -> Any:
    """A value in all lanes of a vector type."""
    empty = ir.Constant(vector, ir.Undefined)
    first = build.insert_element(empty, value, ir.Constant(WORD, 0))
    return build.shuffle_vector(first, empty, constant(0))


def _pointer(compiler: Any, build: Any, kind: Any, array: Any, at: Any, vector: Any) -> Any:
    data = compiler.make_array(kind)(compiler, build, array).data
    return build.bitcast(build.gep(data, [at]), vector.as_pointer())


def load(compiler: Any, build: Any, kind: Any, array: Any, at: Any, vector: Any) -> Any:
    """The vector at array[at..]."""
    loaded = build.load(_pointer(compiler, build, kind, array, at, vector))
    loaded.align = vector.element.width // 8 if isinstance(vector.element, ir.IntType) else 4
    return loaded


def store(compiler: Any, build: Any, kind: Any, array: Any, at: Any, value: Any) -> None:
    """Write the vector `value` to array[at..]."""
    build.store(value, _pointer(compiler, build, kind, array, at, value.type)).align = 4


def _least(build: Any, a: Any, b: Any) -> Any:
    return build.select(build.icmp_unsigned("<", a, b), a, b)


def _butterflies_16(context: Any, source: Any, target: Any, at: Any, before: Any, after: Any, place: Any) -> Any:
    """Sixteen elements at `at`, times before[place..], through four stages of butterflies, times after[place..].

    A stage adds to each element its partner 1, 2, 4 or 8 away, the upper of the two with its own sign turned: the
    bits of a sum and a difference.
    """

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        loaded = load(compiler, build, signature.args[0], args[0], args[2], FLOATS)
        value = build.fmul(loaded, load(compiler, build, signature.args[3], args[3], args[5], FLOATS))
        for apart in (1, 2, 4, 8):
            partners = ir.Constant(WORDS, [lane ^ apart for lane in range(LANES)])
            turned = ir.Constant(WORDS, [0x80000000 if lane & apart else 0 for lane in range(LANES)])
            own = build.bitcast(build.xor(build.bitcast(value, WORDS), turned), FLOATS)
            value = build.fadd(build.shuffle_vector(value, ir.Constant(FLOATS, ir.Undefined), partners), own)
        value = build.fmul(value, load(compiler, build, signature.args[4], args[4], args[5], FLOATS))
        store(compiler, build, signature.args[1], args[1], args[2], value)
        return compiler.get_dummy_value()

    return types.void(source, target, types.intp, before, after, types.intp), generate


def _largest_of_16(context: Any, bits: Any, at: Any, ceiling: Any) -> Any:
    """The largest of ``bits[at : at + 16] & 0x7FFFFFFF``, words above `ceiling` counted as 0; uint32."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        loaded = load(compiler, build, signature.args[0], args[0], args[1], WORDS)
        best = build.and_(loaded, constant(0x7FFFFFFF))
        limit = repeated(build, args[2], WORDS)
        best = build.select(build.icmp_unsigned("<=", best, limit), best, constant(0))
        half = LANES // 2
        while half:
            mask, empty = ir.VectorType(WORD, half), ir.Constant(best.type, ir.Undefined)
            low = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half))))
            high = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half, 2 * half))))
            best = build.select(build.icmp_unsigned(">", low, high), low, high)
            half //= 2
        return build.extract_element(best, ir.Constant(WORD, 0))

    return types.uint32(bits, types.intp, types.uint32), generate


def _exponent(build: Any, held: Any, low: Any) -> Any:
    """The exponent field of magnitudes given as bits, not below that of `low`."""
    above = build.select(build.icmp_unsigned(">", held, low), held, low)
    return build.and_(above, constant(0x7F800000))


def _nearest(build: Any, held: Any, low: Any, offset: Any) -> Any:
    """`bits.rounded`."""
    anchor = build.bitcast(build.add(_exponent(build, held, low), offset), FLOATS)
    return build.fsub(build.fadd(build.bitcast(held, FLOATS), anchor), anchor)


def _element(build: Any, near: Any, bits: Any, zero: Any, nan: Any) -> Any:
    """Rounded magnitudes with the sign of `bits`, `nan` where these are NaN."""
    sign = build.and_(bits, constant(0x80000000))
    signed = build.bitcast(build.or_(build.bitcast(near, WORDS), sign), FLOATS)
    lost = build.icmp_unsigned(">", build.and_(bits, constant(0x7FFFFFFF)), constant(0x7F800000))
    return build.fadd(build.select(lost, nan, signed), zero)


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
            m, d, zero, nan = (repeated(build, args[at], FLOATS) for at in (3, 4, 8, 9))
            top, low, offset = (repeated(build, args[at], WORDS) for at in (5, 6, 7))
            loaded = load(compiler, build, signature.args[0], args[0], args[2], FLOATS)
            bits = build.bitcast(build.fdiv(loaded, m) if divide else build.fmul(loaded, m), WORDS)
            held = _least(build, build.and_(bits, constant(0x7FFFFFFF)), top)
            value = build.fmul(_element(build, _nearest(build, held, low, offset), bits, zero, nan), d)
            store(compiler, build, signature.args[1], args[1], args[2], value)
            return compiler.get_dummy_value()

        number, word = types.float32, types.uint32
        return types.void(source, target, types.intp, number, number, word, word, word, number, number), generate

    return _fake_16


def _errors_16(
    context: Any,
    source: Any,
    errors: Any,
    at: Any,
    m: Any,
    s: Any,
    amax: Any,
    product: Any,
    top: Any,
    low: Any,
    offset: Any,
    zero: Any,
    nan: Any,
) -> Any:
    """``errors[i] = |((q * s) * amax) / product - x|`` of 16 x from source[at], q the element nearest to x * m."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        m, s, amax, product, zero, nan = (repeated(build, args[at], FLOATS) for at in (3, 4, 5, 6, 10, 11))
        top, low, offset = (repeated(build, args[at], WORDS) for at in (7, 8, 9))
        x = load(compiler, build, signature.args[0], args[0], args[2], FLOATS)
        bits = build.bitcast(build.fmul(x, m), WORDS)
        held = _least(build, build.and_(bits, constant(0x7FFFFFFF)), top)
        element = _element(build, _nearest(build, held, low, offset), bits, zero, nan)
        value = build.fdiv(build.fmul(build.fmul(element, s), amax), product)
        size = build.and_(build.bitcast(build.fsub(value, x), WORDS), constant(0x7FFFFFFF))
        first = ir.Constant(args[2].type, 0)
        store(compiler, build, signature.args[1], args[1], first, build.bitcast(size, FLOATS))
        return compiler.get_dummy_value()

    number, word = types.float32, types.uint32
    kinds = (types.intp, number, number, number, number, word, word, word, number, number)
    return types.void(source, errors, *kinds), generate


def _noisy(divide: bool) -> Callable[..., Any]:
    def _noisy_16(
        context: Any,
        source: Any,
        target: Any,
        at: Any,
        noise: Any,
        noise_at: Any,
        noise_shift: Any,
        noise_unit: Any,
        m: Any,
        d: Any,
        top: Any,
        low: Any,
        step: Any,
        zero: Any,
        nan: Any,
    ) -> Any:
        """`fake_16` with `stochastic`, its noise ``(noise[noise_at + i] >> noise_shift) * noise_unit``.

        `step`: bits between the exponent field of a magnitude and that of its distance to the next. Dividing by a
        distance, a power of two, is multiplying with its inverse.
        """

        def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
            unit, m, d, zero, nan = (repeated(build, args[at], FLOATS) for at in (6, 7, 8, 12, 13))
            shift, top, low, step = (repeated(build, args[at], WORDS) for at in (5, 9, 10, 11))
            loaded = load(compiler, build, signature.args[0], args[0], args[2], FLOATS)
            bits = build.bitcast(build.fdiv(loaded, m) if divide else build.fmul(loaded, m), WORDS)
            held = _least(build, build.and_(bits, constant(0x7FFFFFFF)), top)
            kind = ir.VectorType(ir.IntType(signature.args[3].dtype.bitwidth), LANES)
            random = load(compiler, build, signature.args[3], args[3], args[4], kind)
            random = build.lshr(build.zext(random, WORDS) if kind.element.width < 32 else random, shift)
            share = build.fmul(build.uitofp(random, FLOATS), unit)
            quantum = build.bitcast(build.sub(_exponent(build, held, low), step), FLOATS)
            total = build.fadd(build.fmul(share, quantum), build.bitcast(held, FLOATS))
            quantum = build.sub(_exponent(build, build.bitcast(total, WORDS), low), step)
            inverse = build.bitcast(build.sub(constant(254 << 23), quantum), FLOATS)
            floor = build.module.declare_intrinsic("llvm.floor.v16f32", (), ir.FunctionType(FLOATS, [FLOATS]))
            down = build.fmul(build.call(floor, [build.fmul(total, inverse)]), build.bitcast(quantum, FLOATS))
            near = build.bitcast(_least(build, build.bitcast(down, WORDS), top), FLOATS)
            value = build.fmul(_element(build, near, bits, zero, nan), d)
            store(compiler, build, signature.args[1], args[1], args[2], value)
            return compiler.get_dummy_value()

        number, word, place = types.float32, types.uint32, types.intp
        kinds = (place, noise, place, word, number, number, number, word, word, word, number, number)
        return types.void(source, target, *kinds), generate

    return _noisy_16


def _quotient_16(
    context: Any,
    source: Any,
    target: Any,
    at: Any,
    S: Any,
    s: Any,
    d: Any,
    largest: Any,
    smallest: Any,
    offset: Any,
    zero: Any,
    nan: Any,
) -> Any:
    """`fake_16` of the quotient ``source[at + i] * S / s`` rounded once: see `element_kernels.quotient`.

    `largest` and `smallest` are float64, `offset` is added to the bits of a float64's exponent. s is not 0.
    """

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        d, zero, nan = (repeated(build, args[at], FLOATS) for at in (5, 9, 10))
        S, s, largest, smallest = (repeated(build, args[at], _DOUBLES) for at in (3, 4, 6, 7))
        loaded = load(compiler, build, signature.args[0], args[0], args[2], FLOATS)
        bits = build.bitcast(loaded, WORDS)
        magnitude = build.bitcast(build.and_(bits, constant(0x7FFFFFFF)), FLOATS)
        size = build.fdiv(build.fmul(build.fpext(magnitude, _DOUBLES), S), s)
        size = build.select(build.fcmp_ordered("<", size, largest), size, largest)
        above = build.select(build.fcmp_ordered(">", size, smallest), size, smallest)
        field = build.and_(build.bitcast(above, LONGS), ir.Constant(LONGS, [0x7FF << 52] * LANES))
        anchor = build.bitcast(build.add(field, repeated(build, args[8], LONGS)), _DOUBLES)
        near = build.fptrunc(build.fsub(build.fadd(size, anchor), anchor), FLOATS)
        value = build.fmul(_element(build, near, bits, zero, nan), d)
        store(compiler, build, signature.args[1], args[1], args[2], value)
        return compiler.get_dummy_value()

    number, wide = types.float32, types.float64
    kinds = (types.intp, wide, wide, number, wide, wide, types.uint64, number, number)
    return types.void(source, target, *kinds), generate


butterflies_16: Any = intrinsic(_butterflies_16)
largest_of_16: Any = intrinsic(_largest_of_16)
fake_16: Any = intrinsic(_fake(divide=False))
fake_16_divided: Any = intrinsic(_fake(divide=True))
errors_16: Any = intrinsic(_errors_16)
noisy_16: Any = intrinsic(_noisy(divide=False))
noisy_16_divided: Any = intrinsic(_noisy(divide=True))
quotient_16: Any = intrinsic(_quotient_16)
