"""Products of INT4 and a power of two as LUQ's authors count them: both sides end in a 7-bit float.

Three circuits in FP7, a sign, four exponent bits and two fraction bits, bias 7, no special values, subnormals never
needed: the multiplier-free product, which counts up the exponent of INT4 by that of the power; the casts that bring
both operands into FP7; and an FP7 multiplier with rounding, which casts feed in the path that LUQ replaces. They are
here and not among the datapaths' circuits because no machine of hwsim has them. INT4 is in sign and magnitude, as in
the paper's block diagram; the power is e3m0, exponent codes 1 to 7 for 2^-2 to 2^4, 0 for zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Port, Unit, Values, fill, join, uniform_and_edges

BIAS = 7

_CASTS = """\
// INT4 (sign and magnitude) -> FP7: the leading one of the magnitude becomes hidden, the two bits below it remain.
module int4_to_fp7 (input [3:0] a, output [6:0] f);
  wire [3:0] exponent = a[2] ? 4'd9 : a[1] ? 4'd8 : a[0] ? 4'd7 : 4'd0;
  wire [1:0] fraction = a[2] ? a[1:0] : a[1] ? {a[0], 1'b0} : 2'd0;
  assign f = {a[3], exponent, fraction};
endmodule

// e3m0 -> FP7: 2^(e - 3) has the biased exponent e + 4.
module log4_to_fp7 (input [3:0] b, output [6:0] f);
  assign f = {b[3], |b[2:0] ? {1'b0, b[2:0]} + 4'd4 : 4'd0, 2'd0};
endmodule
"""

_MULTIPLIER = """\
// FP7 x FP7 -> FP7 (1, 4, 2), nearest even; exponent 0 is zero, a result beyond 15 is kept modulo 16.
module fp7_multiplier (input [6:0] x, input [6:0] y, output [6:0] p);
  wire [5:0] product; // of 1.ff and 1.ff, in 1/16
  <SIGNIFICANDS> significands (.a({1'b1, x[1:0]}), .b({1'b1, y[1:0]}), .p(product));
  wire high = product[5];
  wire [5:0] normal = high ? product : {product[4:0], 1'b0}; // the leading one on top
  wire up = normal[2] & (normal[3] | normal[1] | normal[0]);
  wire [3:0] rounded = {1'b0, normal[5:3]} + {3'd0, up}; // 8 where rounding reaches the next power
  wire [3:0] exponent = x[5:2] + y[5:2] - 4'd7 + {3'd0, high} + {3'd0, rounded[3]};
  wire some = |x[5:2] & |y[5:2];
  assign p = {x[6] ^ y[6], some ? {exponent, rounded[3] ? 2'd0 : rounded[1:0]} : 6'd0};
endmodule
"""

_FREE = """\
// INT4 (sign and magnitude) x e3m0 -> FP7 without a multiplier: cast a, then add the power's exponent.
module multiplier_free_fp7 (input [3:0] a, input [3:0] b, output [6:0] p);
  wire [6:0] f;
  int4_to_fp7 cast (.a(a), .f(f));
  wire [3:0] exponent = f[5:2] + {1'b0, b[2:0]} - 4'd3;
  wire some = |a[2:0] & |b[2:0];
  assign p = {a[3] ^ b[3], some ? {exponent, f[1:0]} : 6'd0};
endmodule
"""

_STANDARD = """\
// What the multiplier-free product replaces, in one piece: two casts and an FP7 multiplier.
module standard_fp7 (input [3:0] a, input [3:0] b, output [6:0] p);
  wire [6:0] x, y;
  int4_to_fp7 cast_a (.a(a), .f(x));
  log4_to_fp7 cast_b (.b(b), .f(y));
  fp7_multiplier multiply (.x(x), .y(y), .p(p));
endmodule
"""

_SIGN_MAGNITUDE = """\
// INT4 x INT4, both in sign and magnitude.
module int4_sign_magnitude (input [3:0] a, input [3:0] b, output [6:0] p);
  wire [5:0] magnitude;
  <PRODUCT> product (.a(a[2:0]), .b(b[2:0]), .p(magnitude));
  assign p = {a[3] ^ b[3], magnitude};
endmodule
"""

A, B = Port("a", 4), Port("b", 4)


def decode_fp7(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Values of FP7 words; exponent 0 is zero."""
    exponent = (words >> np.uint64(2) & np.uint64(15)).astype(np.int64)
    value = np.ldexp(1 + (words & np.uint64(3)).astype(np.float64) / 4, exponent - BIAS)
    return np.where(exponent > 0, np.where(words >> np.uint64(6), -value, value), 0.0)


def free_product() -> Unit:
    """The multiplier-free product into FP7."""
    return _unit("multiplier_free_fp7", join(_CASTS, _FREE))


def standard_product() -> Unit:
    """Both casts and the FP7 multiplier synthesised together, so that what the casts never produce is left out."""
    return _unit("standard_fp7", join(_CASTS, _fp7_multiplier_text(), _STANDARD))


def standard_parts() -> tuple[Unit, Unit, Unit]:
    """Cast of INT4, cast of the power, FP7 multiplier: each for all that its ports can carry."""
    x, y = Port("x", 7), Port("y", 7)

    def product(values: Values) -> Values:
        return {"p": _encode_product(values["x"], values["y"])}

    whole = Unit("fp7_multiplier", _fp7_multiplier_text(), (x, y), (Port("p", 7),), product, uniform_and_edges(x, y))
    return _cast("int4_to_fp7", A, _int4_values), _cast("log4_to_fp7", B, _log4_values), whole


def int4_sign_magnitude() -> Unit:
    """INT4 by INT4 in sign and magnitude: a 3 × 3 multiplier and the XOR of the signs."""
    inner = multiplier(3, 3, False)

    def golden(values: Values) -> Values:
        a, b = values["a"].astype(np.uint64), values["b"].astype(np.uint64)
        sign = (a ^ b) >> np.uint64(3) & np.uint64(1)
        return {"p": (a & np.uint64(7)) * (b & np.uint64(7)) | sign << np.uint64(6)}

    text = join(inner.verilog, fill(_SIGN_MAGNITUDE, PRODUCT=inner.top))
    return Unit("int4_sign_magnitude", text, (A, B), (Port("p", 7),), golden, uniform_and_edges(A, B))


def _unit(top: str, text: str) -> Unit:
    def golden(values: Values) -> Values:
        return {"p": _encode_product(encode_fp7(_int4_values(values["a"])), encode_fp7(_log4_values(values["b"])),
                                     (values["a"] ^ values["b"]) >> np.uint64(3))}  # fmt: skip

    return Unit(top, text, (A, B), (Port("p", 7),), golden, uniform_and_edges(A, B))


def _cast(top: str, port: Port, values_of: object) -> Unit:
    def golden(values: Values) -> Values:
        words = values[port.name]
        return {"f": encode_fp7(values_of(words)) | words >> np.uint64(3) << np.uint64(6)}  # type: ignore[operator]

    return Unit(top, _CASTS, (port,), (Port("f", 7),), golden, uniform_and_edges(port))


def _fp7_multiplier_text() -> str:
    significands = multiplier(3, 3, False)
    return join(significands.verilog, fill(_MULTIPLIER, SIGNIFICANDS=significands.top))


def _int4_values(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    magnitude = (words & np.uint64(7)).astype(np.float64)
    return np.where(words >> np.uint64(3) & np.uint64(1), -magnitude, magnitude)


def _log4_values(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    code = (words & np.uint64(7)).astype(np.int64)
    value = np.where(code > 0, np.ldexp(1.0, code - 3), 0.0)
    return np.where(words >> np.uint64(3) & np.uint64(1), -value, value)


def encode_fp7(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """FP7 words of values that are exact in it; zeros are positive."""
    fraction, exponent = np.frexp(np.abs(values))
    word = (exponent - 1 + BIAS) << 2 | (np.rint(fraction * 8).astype(np.int64) - 4)
    return np.where(values == 0, 0, word | (values < 0).astype(np.int64) << 6).astype(np.uint64)


def _encode_product(
    x: NDArray[np.uint64], y: NDArray[np.uint64], sign: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """The rounded product's word: arithmetic on the values, the exponent modulo 16, the sign also of zero."""
    sign = (x ^ y) >> np.uint64(6) if sign is None else sign
    magnitude = np.abs(decode_fp7(x) * decode_fp7(y))
    fraction, exponent = np.frexp(magnitude)
    rounded = np.rint(fraction * 8).astype(np.int64)  # 4 to 8, nearest even
    carried = rounded == 8
    biased = (exponent - 1 + BIAS + carried) & 15
    word = biased.astype(np.int64) << 2 | np.where(carried, 0, rounded - 4)
    return np.where(magnitude > 0, word, 0).astype(np.uint64) | (sign & np.uint64(1)) << np.uint64(6)
