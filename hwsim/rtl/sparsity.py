"""N:M selectors: which elements of a group stay, by magnitude or by a draw without bias.

Magnitude: an element stays if fewer than n others come before it; a larger magnitude does, of equals the first, as
in `hwsim.quant.sparsity.keep_largest`. Unbiased with least variance: the chances ``min(1, c |a_i|)`` lie end to end
on a line, and one random point, repeated at distance 1, draws from it (systematic sampling, `sparsify_unbiased`).
All comparisons are multiplied out, so the circuit is exact: no divider, and r of R bits is the point r / 2^R.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.quant.sparsity import keep_largest
from hwsim.rtl.unit import Port, Unit, Values, fill, join, to_signed, to_words, uniform_and_edges

_MAGNITUDE = """\
// |x| of a two's complement number of <B> bits; the smallest one has a magnitude too.
module magnitude_<B> (input [<B>-1:0] x, output [<B>-1:0] magnitude);
  assign magnitude = (x ^ {<B>{x[<B>-1]}}) + x[<B>-1];
endmodule
"""

_LARGEST = """\
// The <N> largest magnitudes of <M> two's complement numbers stay, the others become 0; of equals the first stay.
module <TOP> (input [<M>*<B>-1:0] x, output [<M>*<B>-1:0] y, output [<M>-1:0] kept);
  wire [<M>*<B>-1:0] magnitudes;
  wire [<M>*<M>-1:0] ahead; // ahead[i * <M> + j]: element j comes before element i
  genvar i, j;
  generate
    for (i = 0; i < <M>; i = i + 1) begin : element
      magnitude_<B> size (.x(x[i * <B> +: <B>]), .magnitude(magnitudes[i * <B> +: <B>]));
      for (j = 0; j < <M>; j = j + 1) begin : other
        if (j == i) begin : same
          assign ahead[i * <M> + j] = 1'b0;
        end else if (j < i) begin : first // ties included; the other direction is the complement
          assign ahead[i * <M> + j] = magnitudes[j * <B> +: <B>] >= magnitudes[i * <B> +: <B>];
        end else begin : later
          assign ahead[i * <M> + j] = ~ahead[j * <M> + i];
        end
      end
      assign kept[i] = <STAYS>;
      assign y[i * <B> +: <B>] = x[i * <B> +: <B>] & {<B>{kept[i]}};
    end
  endgenerate
endmodule
"""

_DRAW_1_2 = """\
// 1:2 without bias: x0 stays with chance |x0| / (|x0| + |x1|), else x1; it takes the sum of the magnitudes.
module <TOP> (input [2*<B>-1:0] x, input [<R>-1:0] random, output [2*(<B>+2)-1:0] y, output [1:0] kept);
  wire [<B>-1:0] m0, m1;
  magnitude_<B> size0 (.x(x[0 +: <B>]), .magnitude(m0));
  magnitude_<B> size1 (.x(x[<B> +: <B>]), .magnitude(m1));
  wire [<B>:0] sum = m0 + m1;
  // random / 2^<R> < m0 / sum, multiplied out
  wire first = random * sum < {m0, <R>'d0};
  assign kept = {~first & (|m1), first};
  wire [<B>+1:0] plus = {1'b0, sum};
  wire [<B>+1:0] minus = -plus;
  assign y[0 +: <B>+2] = kept[0] ? (x[<B>-1] ? minus : plus) : 0;
  assign y[<B>+2 +: <B>+2] = kept[1] ? (x[2*<B>-1] ? minus : plus) : 0;
endmodule
"""

_DRAW_2_4 = """\
// 2:4 without bias. If one magnitude is at least the sum of the other three it stays as it is, and one of the others
// is drawn by its share; else two are drawn, each with twice its share. Values in halves: m / chance = sum / 2.
module <TOP> (input [4*<B>-1:0] x, input [<R>-1:0] random, output [4*(<B>+4)-1:0] y, output [3:0] kept);
  localparam W = <B> + 3; // sums of four magnitudes, doubled
  wire [4*<B>-1:0] m;
  genvar i;
  generate
    for (i = 0; i < 4; i = i + 1) begin : size
      magnitude_<B> of (.x(x[i * <B> +: <B>]), .magnitude(m[i * <B> +: <B>]));
    end
  endgenerate
  wire [W-1:0] sum = m[0 +: <B>] + m[<B> +: <B>] + m[2*<B> +: <B>] + m[3*<B> +: <B>];
  wire [3:0] towers; // at least as large as the others together: at most one, or two equal ones
  generate
    for (i = 0; i < 4; i = i + 1) begin : compare
      assign towers[i] = {m[i * <B> +: <B>], 1'b0} >= sum & (|m[i * <B> +: <B>]);
    end
  endgenerate
  wire [3:0] sure = towers & (~towers + 1'b1); // the first of them
  wire any = |sure;
  wire [<B>-1:0] tower = (m[0 +: <B>] & {<B>{sure[0]}}) | (m[<B> +: <B>] & {<B>{sure[1]}})
    | (m[2*<B> +: <B>] & {<B>{sure[2]}}) | (m[3*<B> +: <B>] & {<B>{sure[3]}});
  wire [W-1:0] unit = sum - tower; // length 1 on the line of chances
  // the two points on the line, and the ends of the stretches, all times 2^<R>
  wire [W+<R>:0] point = random * unit;
  wire [W+<R>:0] second = point + {unit, <R>'d0};
  wire [5*(W+<R>+1)-1:0] ends;
  assign ends[0 +: W+<R>+1] = 0;
  generate
    for (i = 0; i < 4; i = i + 1) begin : stretch
      wire [W-1:0] length = sure[i] ? unit : any ? m[i * <B> +: <B>] : {m[i * <B> +: <B>], 1'b0};
      wire [W+<R>:0] start = ends[i * (W+<R>+1) +: W+<R>+1];
      wire [W+<R>:0] stop = start + {length, <R>'d0};
      assign ends[(i + 1) * (W+<R>+1) +: W+<R>+1] = stop;
      assign kept[i] = sure[i] | (start <= point & point < stop) | (start <= second & second < stop);
      wire [W:0] size_ = sure[i] ? {m[i * <B> +: <B>], 1'b0} : any ? {unit, 1'b0} : sum;
      assign y[i * (W+1) +: W+1] = kept[i] ? (x[i * <B> + <B> - 1] ? -size_ : size_) : 0;
    end
  endgenerate
endmodule
"""


def largest_selector(n: int = 2, m: int = 4, bits: int = 8) -> Unit:
    """The n largest magnitudes of m signed numbers stay; 1:2 or 2:4; combinational.

    Raises:
        ArgumentError: another n:m, or bits outside 2..16.
    """
    _check(n, m, bits)
    x, y, kept = Port("x", bits, m), Port("y", bits, m), Port("kept", m)
    top = f"largest_{n}of{m}_{bits}"
    others = " + ".join(f"ahead[i * {m} + {j}]" for j in range(m))
    stays = f"~ahead[i * {m} + (1 - i)]" if m == 2 else f"({others}) < 3'd{n}"

    def golden(values: Values) -> Values:
        numbers = to_signed(values["x"], bits)
        stay = _ranks(np.abs(numbers)) < n
        dense = keep_largest(numbers.astype(np.float32), n, m).astype(np.int64)
        return {"y": to_words(dense, bits), "kept": _mask(stay)}

    return Unit(
        top,
        join(fill(_MAGNITUDE, B=bits), fill(_LARGEST, TOP=top, N=n, M=m, B=bits, STAYS=stays)),
        (x,),
        (y, kept),
        golden,
        _groups(x),
        family="largest_selector",
        parameters={"n": n, "m": m, "bits": bits},
    )


def unbiased_selector(n: int = 2, m: int = 4, bits: int = 8, random_bits: int = 8) -> Unit:
    """The estimate without bias of least variance, from one random word a group; combinational.

    1:2: ``y`` in units of x, ``bits + 2`` bits. 2:4: in halves, ``bits + 4`` bits.

    Raises:
        ArgumentError: another n:m, bits outside 2..16, random_bits outside 1..16.
    """
    _check(n, m, bits)
    if not 1 <= random_bits <= 16:
        raise ArgumentError("random_bits must be 1..16", got=random_bits, where="unbiased_selector")
    out_bits = bits + (2 if m == 2 else 4)
    x, random = Port("x", bits, m), Port("random", random_bits)
    y, kept = Port("y", out_bits, m), Port("kept", m)
    top = f"unbiased_{n}of{m}_{bits}_r{random_bits}"
    groups, draw = _groups(x), uniform_and_edges(random)

    def golden(values: Values) -> Values:
        numbers = to_signed(values["x"], bits)
        estimate, stay = draw_exact(numbers, values["random"].astype(np.int64), n, random_bits)
        return {"y": to_words(estimate if m == 4 else estimate // 2, out_bits), "kept": _mask(stay)}

    return Unit(
        top,
        join(fill(_MAGNITUDE, B=bits), fill(_DRAW_1_2 if m == 2 else _DRAW_2_4, TOP=top, B=bits, R=random_bits)),
        (x, random),
        (y, kept),
        golden,
        lambda rng, count: groups(rng, count) | draw(rng, count),
        family="unbiased_selector",
        parameters={"n": n, "m": m, "bits": bits, "random_bits": random_bits},
    )


def draw_exact(
    numbers: NDArray[np.int64], random: NDArray[np.int64], n: int, random_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Systematic sampling in whole numbers: estimates ``[groups, m]`` in halves, and what stays.

    The chance of element i is ``length_i / one``: n |a_i| / S, or 1 for an element that reaches it and then the share
    of the rest in the n - 1 places left. Element i stays if random / 2^R + k lies in its stretch for some whole k.
    """
    size = np.abs(numbers)
    total = size.sum(axis=1)
    sure = n * size >= total[:, None]
    sure &= (size > 0) & (np.cumsum(sure & (size > 0), axis=1) == 1) & (n > 1)
    any_sure = sure.any(axis=1)
    one = total - np.where(sure, size, 0).sum(axis=1)
    length = np.where(any_sure[:, None], np.where(sure, one[:, None], size), n * size)
    stops = np.cumsum(length, axis=1) << random_bits
    starts = stops - (length << random_bits)
    stay = sure.copy()
    for k in range(n):
        point = ((random + (k << random_bits)) * one)[:, None]
        stay |= (starts <= point) & (point < stops)
    halves = np.where(any_sure, 2 * one, 2 * total // n if n == 1 else total)[:, None]
    value = np.where(sure, 2 * size, halves)
    return np.where(stay, np.sign(numbers) * value, 0), stay


def _check(n: int, m: int, bits: int) -> None:
    if (n, m) not in ((1, 2), (2, 4)):
        raise ArgumentError("n and m must be 1 and 2, or 2 and 4", got=(n, m), where="selector")
    if not 2 <= bits <= 16:
        raise ArgumentError("bits must be 2..16", got=bits, where="selector")


def _groups(x: Port) -> Callable[[np.random.Generator, int], Values]:
    edges = uniform_and_edges(x)

    def operands(rng: np.random.Generator, n: int) -> Values:
        words = edges(rng, n)[x.name]
        kind = rng.integers(0, 4, size=n)
        words = np.where((kind == 1)[:, None] & (rng.random(words.shape) < 0.5), np.uint64(0), words)
        same = rng.integers(0, x.count, size=words.shape)  # equal magnitudes
        words = np.where((kind == 2)[:, None], np.take_along_axis(words, same, axis=1), words)
        return {x.name: words}

    return operands


def _ranks(size: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(-size, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable")


def _mask(stay: NDArray[np.bool_]) -> NDArray[np.uint64]:
    bits = stay.astype(np.uint64) << np.arange(stay.shape[1], dtype=np.uint64)
    return np.asarray(bits.sum(axis=1), dtype=np.uint64)
