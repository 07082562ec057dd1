"""Squares of 16 x 16 with their axes exchanged in vector registers, also rotated on the way."""

from __future__ import annotations

from typing import Any

from hwsim.jit import intrinsic, ir, types
from hwsim.quant.lanes import FLOATS, LANES, WORD, WORDS, constant, load, repeated, store


def _exchanged(build: Any, rows: list[Any]) -> list[Any]:
    """Sixteen vectors with rows and lanes exchanged, in four stages of pairs."""
    for apart in (8, 4, 2, 1):
        low = [lane if not lane & apart else LANES + lane - apart for lane in range(LANES)]
        high = [lane + apart if not lane & apart else LANES + lane for lane in range(LANES)]
        for row in (row for row in range(LANES) if not row & apart):
            a, b = rows[row], rows[row + apart]
            rows[row] = build.shuffle_vector(a, b, ir.Constant(WORDS, low))
            rows[row + apart] = build.shuffle_vector(a, b, ir.Constant(WORDS, high))
    return rows


def _rows_of(compiler: Any, build: Any, kind: Any, array: Any, at: Any, apart: Any) -> list[Any]:
    places = [build.add(at, build.mul(apart, ir.Constant(at.type, row))) for row in range(LANES)]
    return [load(compiler, build, kind, array, place, FLOATS) for place in places]


def _store_rows(compiler: Any, build: Any, kind: Any, array: Any, at: Any, apart: Any, rows: list[Any]) -> None:
    for row, value in enumerate(rows):
        place = build.add(at, build.mul(apart, ir.Constant(at.type, row)))
        store(compiler, build, kind, array, place, value)


def _turn_16(
    context: Any, source: Any, source_at: Any, source_apart: Any, target: Any, target_at: Any, target_apart: Any
) -> Any:
    """A square of 16 x 16 with its axes exchanged: row i of the source begins at ``source_at + i * source_apart``."""

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        rows = _rows_of(compiler, build, signature.args[0], *args[:3])
        _store_rows(compiler, build, signature.args[3], args[3], args[4], args[5], _exchanged(build, rows))
        return compiler.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate


def _turn_rotated_16(
    context: Any,
    source: Any,
    source_at: Any,
    source_apart: Any,
    target: Any,
    target_at: Any,
    target_apart: Any,
    signs: Any,
    unit: Any,
    ceiling: Any,
    maxima: Any,
    maxima_at: Any,
) -> Any:
    """`_turn_16`, each row of the target through `butterflies_16`; their `largest_of_16` into maxima[maxima_at..].

    The butterflies run between whole rows of the source, before these become lanes: the additions are the same.
    """

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        rows = _rows_of(compiler, build, signature.args[0], *args[:3])
        before = load(compiler, build, signature.args[6], args[6], ir.Constant(args[1].type, 0), FLOATS)
        for row in range(LANES):
            sign = build.extract_element(before, ir.Constant(WORD, row))
            rows[row] = build.fmul(rows[row], repeated(build, sign, FLOATS))
        for apart in (1, 2, 4, 8):
            for row in (row for row in range(LANES) if not row & apart):
                low, high = rows[row], rows[row + apart]
                rows[row], rows[row + apart] = build.fadd(low, high), build.fsub(low, high)
        unit, limit = repeated(build, args[7], FLOATS), repeated(build, args[8], WORDS)
        best = constant(0)
        for row in range(LANES):
            rows[row] = build.fmul(rows[row], unit)
            size = build.and_(build.bitcast(rows[row], WORDS), constant(0x7FFFFFFF))
            size = build.select(build.icmp_unsigned("<=", size, limit), size, constant(0))
            best = build.select(build.icmp_unsigned(">", best, size), best, size)
        store(compiler, build, signature.args[9], args[9], args[10], best)
        _store_rows(compiler, build, signature.args[3], args[3], args[4], args[5], _exchanged(build, rows))
        return compiler.get_dummy_value()

    place = types.intp
    kinds = (source, place, place, target, place, place, signs, types.float32, types.uint32, maxima, place)
    return types.void(*kinds), generate


turn_16: Any = intrinsic(_turn_16)
turn_rotated_16: Any = intrinsic(_turn_rotated_16)
