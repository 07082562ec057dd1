"""What each catalogued name computes, in one line of plain text: for lists and the reference.

The definitions are code (`hwsim.formats.reference`, `hwsim.quant.reference_scales`, `hwsim.datapaths`); these lines
say the same for a reader. Letters: x a value, q its code's value, a the largest magnitude of a block, A that of the
tensor, m the largest element, F the largest element times the largest scale, S = F / A, s a block's scale. Every
product and quotient is rounded to float32; fl8(v) is v in the scale format, to nearest even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwsim.formats import Format


@dataclass(frozen=True, slots=True)
class Made:
    """What a family of units is: a line, what it computes, and where that was read."""

    title: str
    equation: str
    source: str


RULES = {
    "te": "s = fl8(a (S (1/m))); q = x / (s / S), by one reciprocal",
    "te_4over6": "te twice, aiming at 6 and at 4; of each block the one with the smaller squared error stays",
    "te_fast": "s = fl8(a (S (1/m))); q = x bf16(S / s)",
    "flashinfer_exact": "s = fl8(a (S (1/m))), zero blocks apart; q = x / (s / S), by one reciprocal",
    "flashinfer_fast": "s = fl8(S (a rcp(m))); q = x rcp(s rcp(S)), rcp the GPU's approximate reciprocal",
    "vllm_ref": "s = fl8(S (a (1/m))); q = x (1 / (s (1/S)))",
    "torchao": "s = fl8((a/m) / (A/F)), at least the smallest normal scale; q = x ((1 / (A/F)) / s)",
    "modelopt": "s = fl8(a / (m (A/F))); q = x / (s (A/F))",
    "fp4atw": "s = fl8(m / (a / (A/F))), the reciprocal of the others'; q = x s / (A/F)",
    "exact": "s = fl8(a (S (1/m))); q = the quotient x S / s, rounded once",
    "floor": "s = 2^(floor(log2 a) - floor(log2 m)); q = x / s",
    "ceil": "s = 2^(ceil(log2 a) - floor(log2 m)); q = x / s",
    "even": "s = 2^(floor(log2 a') - floor(log2 m)), a' = a rounded to the element's mantissa; q = x / s",
    "rceil": "s = a / m rounded up to a power of two; q = x / s",
    "rceil_te": "as rceil, but a scale of 2^-127 multiplies by 1",
    "absmax": "s = a / m, 1 where that is 0; q = x / s",
    "absmean": "s = mean |x|; q = x / s, cut to -1, 0, 1",
    "additions": "s = sum |x| / (R K) of each row of K; q = x / s, so that |q| is R in the mean",
    "none": "q = x, rounded to nearest even",
}
"""By scale rule."""

DECODES = {
    "te": "q ((s A) (1/F))",
    "torchao": "q (s (A/F))",
    "vllm": "q (s / S)",
    "code_first": "((q s) A) / F",
    "fp4atw": "(q / s) (A/F)",
    "scale": "q s",
}
"""By order of decoding."""

_TENSOR_CORES = "arXiv 2512.07004 and its recordings on silicon; mmasim 2.1.1"

UNITS = {
    "integer": Made(
        "integer multiplier and accumulator, wrapping or saturating",
        "acc <- wrap or clamp(acc + a b, acc_bits) for k ascending; results are exact until the accumulator ends",
        "two's complement",
    ),
    "dot": Made(
        "floating-point dot unit as a value: formats, group, alignment, block scales, accumulator",
        "c <- round(sum of a group's products and c, each cut below 2^(emax - F)), groups for k ascending",
        _TENSOR_CORES,
    ),
    "tensor_core": Made(
        "a vendor's tensor core: a named value of the dot unit", "by its alignment, see the rows", _TENSOR_CORES
    ),
    "ternary_lut": Made(
        "weights -1, 0, 1 in groups of µ that index a table of the sums of µ activations",
        "acc <- acc + sign table[key], key = the group as a number to base 3, mirrored above (3^µ - 1) / 2",
        "KU Leuven, arXiv 2604.25183 and its repository ternary-lut-dse",
    ),
    "pann": Made(
        "adders in place of multipliers: a weight w adds its input |w| times",
        "acc+ <- acc+ + x, |w| times if w > 0; acc- likewise; result acc+ - acc-, modulo 2^acc_bits",
        "Spingarn Eliezer and others, PANN, arXiv 2202.02783",
    ),
    "shift": Made(
        "INT4 times a power of two: a sign flip and an exponent addition",
        "acc <- acc + s |a| 2^(e - 3), float32 or fixed point in quarters",
        "LUQ, arXiv 2112.10769",
    ),
    "dot.fused": Made("", "round(sum of products and c, each cut below 2^(emax - F), emax the largest exponent)", ""),
    "dot.grouped": Made(
        "", "round(sum of (exact sub-group sum) s_a s_b and c, cut below 2^(emax - F), emax of the scales)", ""
    ),
    "dot.exact": Made("", "round(exact sum of products and c), once", ""),
    "dot.flushed": Made("", "a tree of float32 additions, subnormals flushed to zero", ""),
    "dot.rounded": Made("", "round(floor(sum of products cut below 2^(emax - F)) and c, floored to 2^(e - F))", ""),
    "dot.interleaved": Made("", "as rounded, even and odd k summed apart", ""),
}
"""By family, and ``dot.ALIGN`` by alignment."""


def format_equation(form: Format) -> str:
    """The value of a word with fields sign s, exponent E and mantissa M."""
    if form.is_integer:
        return f"x = word, two's complement of {form.bits} bits"
    sign = "(-1)^s " if form.signed else ""
    normal = f"{sign}2^(E - {form.bias})" + (f" (1 + M/{1 << form.mantissa_bits})" if form.mantissa_bits else "")
    if not form.zero:
        return f"x = {normal}"
    power = 1 - form.bias
    low = f"{sign}2^{power} M/{1 << form.mantissa_bits}" if form.mantissa_bits else "0"
    return f"x = {normal}; at E = 0 x = {low}"
