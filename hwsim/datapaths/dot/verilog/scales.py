"""The scales of a block pair in a circuit: NaN, product of significands, sum of exponents."""

from __future__ import annotations

from hwsim.datapaths.dot.elements import Element

_POWERS = """\
      wire [<T>:0] x = scale_a[<B> * g +: <W>];
      wire [<T>:0] y = scale_b[<B> * g +: <W>];
      assign scale_nan[g] = <NAN>;
      assign factors[g] = 1'b1; // powers of two
      assign scale_exponents[g * <EW> +: <EW>] = x + y<BASE>;"""

# A sign is ignored; subnormals keep the exponent of the smallest normal number and are not normalised.
_FLOATS = """\
      wire [<T>:0] x = scale_a[<B> * g +: <W>];
      wire [<T>:0] y = scale_b[<B> * g +: <W>];
      assign scale_nan[g] = <NAN>;
      assign factors[g * <SW> +: <SW>] = <X_SIGNIFICAND> * <Y_SIGNIFICAND>;
      wire [<ET>:0] x_exponent = <X_EXPONENT>;
      wire [<ET>:0] y_exponent = <Y_EXPONENT>;
      assign scale_exponents[g * <EW> +: <EW>] = x_exponent + y_exponent<BASE>;"""


def block_scales(form: Element, exponent_bits: int, offset: int) -> tuple[str, int]:
    """Statements of block g that make ``scale_nan[g]``, its word of ``factors`` and of ``scale_exponents`` from bytes
    of ``scale_a`` and ``scale_b``; and the width of a factor.

    Args:
        form: of the scales.
        exponent_bits: width of an exponent.
        offset: added to the sum of both exponent fields.
    """
    width, mantissa, exponent = form.magnitude_bits, form.mantissa_bits, form.exponent_bits
    factor_bits = 2 * (mantissa + 1) if mantissa else 1
    base = f" + {exponent_bits}'d{offset % (1 << exponent_bits)}" if offset else ""
    values = {
        "T": width - 1, "B": form.word_bits, "W": width, "EW": exponent_bits, "SW": factor_bits, "BASE": base,
        "NAN": "(&x) | (&y)" if form.specials == "nan" else "1'b0", "ET": exponent - 1,
    }  # fmt: skip
    if not form.has_zero and not mantissa:
        text = _POWERS
    else:
        text = _FLOATS
        top, low = width - 1, mantissa
        field = f"[{top}:{low}]" if exponent > 1 else f"[{low}]"
        for side in "xy":
            hidden = f"|{side}{field}" if form.has_zero else "1'b1"
            rest = f", {side}[{mantissa - 1}:0]" if mantissa else ""
            normal = f"{{{side}[{top}:{low + 1}], {side}[{low}] | ~(|{side}{field})}}" if exponent > 1 else "1'b1"
            values[f"{side.upper()}_SIGNIFICAND"] = f"{{{hidden}{rest}}}"
            values[f"{side.upper()}_EXPONENT"] = normal if form.has_zero else f"{side}{field}"
    for name, value in values.items():
        text = text.replace(f"<{name}>", str(value))
    return text, factor_bits
