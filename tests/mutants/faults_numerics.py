"""Small faults of meaning in formats, quantization, units and recipes.

Chosen as those of `faults`, by reading the code first.
"""

from __future__ import annotations

from faults import Fault, of

FAULTS: tuple[Fault, ...] = (
    *of(
        "formats/reference",
        (
            "return fraction + Fraction(random, 1 << sr_bits) >= 1",
            "return fraction + Fraction(random, 1 << sr_bits) > 1",
            "stochastic rounding misses one in 2^bits",
        ),
        (
            'return rounding == "away" or below / quantum % 2 == 1',
            'return rounding == "away" or below / quantum % 2 == 0',
            "ties to odd",
        ),
        ("saturate or toward_zero)", "saturate)", "directed rounding overflows"),
        (
            'toward_zero = rounding == "rz" or (rounding == "rp" and negative)',
            'toward_zero = rounding == "rz"',
            "rounding up takes negatives to infinity",
        ),
        ("negative = False  # the only zero", "pass", "FNUZ has a negative zero"),
    ),
    *of(
        "formats/codec",
        (
            "sticky = (bits & np.uint32(0xFFFF)) != 0",
            "sticky = (bits & np.uint32(0x7FFF)) != 0",
            "a sticky bit of 15",
        ),
        ("random + part >= 1 << sr_bits", "random + part > 1 << sr_bits", "stochastic rounding misses one"),
        (
            "biased = np.maximum(magnitude >> point, 1)",
            "biased = magnitude >> point",
            "subnormal floats half of their size",
        ),
        ("shift = np.minimum(far, 62)", "shift = np.minimum(far, 24)", "tiny values round up"),
    ),
    *of(
        "quant/reference",
        ("four = error4 < error6", "four = error4 <= error6", "of equals 4 is taken"),
        (
            "v = np.where(np.isnan(v), v, np.clip(v, -top, top))",
            "v = np.where(np.isnan(v), v, np.minimum(v, top))",
            "negatives unclipped",
        ),
        ("a = np.full(a.shape, A)", "a = np.full(a.shape, a.max())", "absmean takes the maximum"),
        ("return ((q * d) * A) / product", "return (q * (d * A)) / product", "another order of decoding"),
        ("error = np.where(valid[:, column], error", "error = np.where(True, error", "padding counts as error"),
    ),
    *of(
        "quant/engine",
        (
            "key = _noise_key(scheme, seed)",
            "key = _noise_key(scheme, 0 if seed is None else seed)",
            "no seed is seed 0",
        ),
        (
            "return INF if scheme.scale_rule in NAN_IGNORING_RULES else np.uint32(0x7FFFFFFF)",
            "return INF",
            "NaN never reaches a scale",
        ),
        (
            "merged = np.maximum.reduceat(planes, np.arange(0, where.plane, where.height), axis=1)",
            "merged = np.minimum.reduceat(planes, np.arange(0, where.plane, where.height), axis=1)",
            "squares scaled by their least row",
        ),
    ),
    *of(
        "quant/rotation",
        ("np.float32(1 / np.sqrt(size))", "np.float32(1 / size)", "a transform that shrinks"),
        (
            "(ones, vector * scale) if inverse else (vector, ones * scale)",
            "(vector, ones * scale)",
            "the inverse is the transform",
        ),
        ("high[lane] = first - second", "high[lane] = second - first", "signs of long tiles"),
    ),
    *of(
        "datapaths/integer/bits",
        ("acc = max(least, min(greatest, acc))", "acc = min(greatest, acc)", "saturates above alone"),
        ("acc = (acc - least) % (1 << acc_bits) + least", "acc = acc % (1 << acc_bits)", "wraps unsigned"),
        (
            "if start.size and (int(start.min()) < least",
            "if start.size and (int(start.min()) < 0 * least - (1 << 62)",
            "starts below the accumulator",
        ),
    ),
    *of(
        "datapaths/integer/cost",
        (
            "Registers(unit.a_bits, unit.b_bits, unit.acc_bits, 0, 0.5",
            "Registers(unit.a_bits, unit.a_bits, unit.acc_bits, 0, 0.5",
            "weights held in activations' registers",
        ),
        ('clamps = float(unit.overflow == "saturate")', "clamps = 1.0", "a clamp that wraps"),
    ),
    *of(
        "datapaths/dot/kernels/general",
        (
            "emax = max(emax, cut.e_zero)\n    total = toward_zero(c_sig, c_e - (10",
            "total = toward_zero(c_sig, c_e - (10",
            "no least exponent",
        ),
        (
            "if sa_exp[i, s] == NAN_E or sb_exp[j, s] == NAN_E",
            "if sa_exp[i, s] == NAN_E",
            "a NaN scale of weights unseen",
        ),
        ("exponents[g] = e if some and scale else e_zero", "exponents[g] = e", "zero groups raise the exponent"),
        (
            "if ea == NAN_E or eb == NAN_E or product == 0 or scale == 0:",
            "if ea == NAN_E or eb == NAN_E:",
            "infinity times zero is infinity",
        ),
    ),
    *of(
        "recipes/recipe",
        ("if done >= change.at", "if done > change.at", "a change one step late"),
        ("if switched and self.monitor is not None:", "if self.monitor is not None:", "switched from the start"),
        ("schedule=(*self.schedule, *changes)", "schedule=(*changes, *self.schedule)", "later changes lose"),
        (
            "rules=(Rule(where, use), *self.rules)",
            "rules=(*self.rules, Rule(where, use))",
            "an exception behind its own",
        ),
    ),
    *of(
        "recipes/operands",
        (
            'masked = self.mask is not None and self.mask.rule != "largest"',
            "masked = self.mask is not None",
            "a mask of the largest is random",
        ),
    ),
)
