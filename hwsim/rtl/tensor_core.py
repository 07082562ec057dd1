"""Tensor-core dot products: one fused group of the instruction, c included, as one combinational circuit.

Two shapes, both with the numbers of `hwsim.datapaths.tensor_core`'s catalogue. *Fused* (FP16, BF16, FP8, FP6, FP4
and the MX formats): every product and c are aligned below the largest exponent among the non-zero ones, cut, added
exactly and truncated once. *Grouped* (NVFP4, MXFP4): products of 16 elements are added exactly first, multiplied by
the product of the two scales' significands, and only these sums are aligned, by the exponents of their scales.

The vendors' circuits are not public; these produce the same bits. No pipeline registers: where they would lie is a
matter of clock and library, and they change no bit. Chaining over K is the caller's: the result is the next c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import tensor_core
from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP, Row
from hwsim.datapaths.tensor_cores.elements import Element, element
from hwsim.errors import ArgumentError
from hwsim.rtl.alignment import align, largest, round_to_fp32
from hwsim.rtl.minifloat import dot_bits, e2m1_dot_text, signed_sum
from hwsim.rtl.unit import Port, Unit, Values, edge_words, fill, join, random_words

_DECODE = """\
// <NAME> code -> sign, significand with its hidden bit, exponent field (1 for subnormals), special values.
module decode_<NAME> (
  input [<BITS>-1:0] code, output negative, output [<M>:0] significand, output [<E>-1:0] exponent,
  output infinite, output nan
);
  wire [<E>-1:0] field = code[<M>+<U>+<E>-1:<M>+<U>];
  wire [<M>-1:0] mantissa = code[<M>+<U>-1:<U>];
  wire normal = |field;
  assign negative = <SIGN>;
  assign significand = {normal, mantissa};
  assign exponent = {field[<E>-1:1], field[0] | ~normal};
  assign infinite = <INFINITE>;
  assign nan = <NAN>;
endmodule
"""

_LANE = """\
// Exact product of two <NAME> codes: magnitude with <FRACTION> fraction bits, sum of the exponent fields.
module <TOP> (
  input [<BITS>-1:0] a, input [<BITS>-1:0] b,
  output [<P>-1:0] magnitude, output negative, output [<E>:0] exponent, output nonzero,
  output infinite, output nan
);
  wire a_negative, b_negative, a_infinite, b_infinite, a_nan, b_nan;
  wire [<M>:0] a_significand, b_significand;
  wire [<E>-1:0] a_exponent, b_exponent;
  decode_<NAME> decode_a (
    .code(a), .negative(a_negative), .significand(a_significand), .exponent(a_exponent),
    .infinite(a_infinite), .nan(a_nan)
  );
  decode_<NAME> decode_b (
    .code(b), .negative(b_negative), .significand(b_significand), .exponent(b_exponent),
    .infinite(b_infinite), .nan(b_nan)
  );
  wire a_zero = a_significand == 0;
  wire b_zero = b_significand == 0;
  assign magnitude = a_significand * b_significand;
  assign negative = a_negative ^ b_negative;
  assign exponent = a_exponent + b_exponent;
  assign nonzero = ~(a_zero | b_zero);
  assign nan = a_nan | b_nan | (a_infinite & b_zero) | (b_infinite & a_zero);
  assign infinite = a_infinite | b_infinite;
endmodule
"""

_FUSED = """\
// <TITLE>: d = c + sum a[k] b[k]<SCALED>, <L> products.
// Exponents below are true ones plus <OFFSET>.
module <TOP> (
  input [<L>*<BITS>-1:0] a, input [<L>*<BITS>-1:0] b, input [31:0] c<SCALE_PORTS>, output [31:0] d
);
  wire [<L>*<P>-1:0] products;
  wire [<L>-1:0] nonzero, infinite, nan;
  wire [<L>:0] negative; // c's on top
  wire [<L>*<EW>-1:0] exponents;
<SCALE_EXPONENT>
  genvar k;
  generate
    for (k = 0; k < <L>; k = k + 1) begin : lane
      wire [<E>:0] exponent;
      <LANE> multiply (
        .a(a[k * <BITS> +: <BITS>]), .b(b[k * <BITS> +: <BITS>]), .magnitude(products[k * <P> +: <P>]),
        .negative(negative[k]), .exponent(exponent), .nonzero(nonzero[k]), .infinite(infinite[k]), .nan(nan[k])
      );
      assign exponents[k * <EW> +: <EW>] = exponent <BASE>;
    end
  endgenerate

  wire c_infinite, c_nan;
  wire [23:0] c_significand;
  wire [7:0] c_field;
  decode_fp32 decode_c (
    .code(c), .negative(negative[<L>]), .significand(c_significand), .exponent(c_field),
    .infinite(c_infinite), .nan(c_nan)
  );
  wire [<EW>-1:0] c_exponent = c_field + <EW>'d<C_BASE>;

  // zero terms do not take part; the largest exponent is at least <E_ZERO>
  wire [<EW>-1:0] top;
  wire [(<L>+1)*<EW>-1:0] candidates;
  generate
    for (k = 0; k < <L>; k = k + 1) begin : present
      assign candidates[k * <EW> +: <EW>] = nonzero[k] ? exponents[k * <EW> +: <EW>] : <EW>'d0;
    end
  endgenerate
  assign candidates[<L> * <EW> +: <EW>] = |c_significand ? c_exponent : <EW>'d<FLOOR>;
  <LARGEST> compare (.candidates(candidates), .largest(top));

  // terms in units of 2^(top - <F>), cut toward zero
  wire [(<L>+1)*<TERM>-1:0] terms;
  generate
    for (k = 0; k < <L>; k = k + 1) begin : aligned
      <ALIGN> move (
        .magnitude(products[k * <P> +: <P>]), .distance(top - exponents[k * <EW> +: <EW>]),
        .term(terms[k * <TERM> +: <TERM>])
      );
    end
  endgenerate
  wire [<F>:0] c_term;
  <ALIGN_C> move_c (.magnitude(c_significand), .distance(top - c_exponent), .term(c_term));
  assign terms[<L> * <TERM> +: <TERM>] = {1'b0, c_term};
  wire [<M_SUM>:0] total;
  <SUM> add (.terms(terms), .negative(negative), .total(total));

  wire [31:0] finite;
  <ROUND> truncate (.total(total), .exponent(top), .word(finite));
  wire [<L>:0] infinities = {c_infinite, infinite};
  wire minus = |(infinities & negative);
  wire plus = |(infinities & ~negative);
  wire not_a_number = (|nan) | c_nan | (plus & minus)<SCALE_NAN>;
  assign d = not_a_number ? 32'h7FFFFFFF : plus | minus ? {minus, 31'h7F800000} : finite;
endmodule
"""

_GROUPED = """\
// <TITLE>: d = c + sum over <G> groups of 16: (exact sum of products) * scale_a * scale_b.
// Exponents below are true ones plus <OFFSET>.
module <TOP> (
  input [255:0] a, input [255:0] b, input [31:0] c,
  input [<S>*8-1:0] scale_a, input [<S>*8-1:0] scale_b, output [31:0] d
);
  wire [<S>-1:0] scale_nan;
  wire [<S>*<SW>-1:0] factors;  // product of the scales' significands<FACTOR_TEXT>
  wire [<S>*<EW>-1:0] scale_exponents;
  genvar g;
  generate
    for (g = 0; g < <S>; g = g + 1) begin : block
<SCALE>
    end
  endgenerate

  wire [<G>:0] negative; // c's on top
  wire [<G>-1:0] present;
  wire [<G>*<P>-1:0] products;
  wire [(<G>+1)*<EW>-1:0] exponents, candidates;
  generate
    for (g = 0; g < <G>; g = g + 1) begin : group
      wire signed [12:0] sum;
      e2m1_dot16 dot (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .p(sum));
      // a group of zero products has no say in the exponent; one that cancels to zero has
      wire any;
      any_product16 find (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .any(any));
      wire [<SW>-1:0] factor = factors[(g * <S> / <G>) * <SW> +: <SW>];
      assign present[g] = any & (|factor);
      assign negative[g] = sum[12];
      wire [11:0] magnitude = (sum[11:0] ^ {12{sum[12]}}) + sum[12];
      assign products[g * <P> +: <P>] = magnitude * factor;
      assign exponents[g * <EW> +: <EW>] = scale_exponents[(g * <S> / <G>) * <EW> +: <EW>];
      assign candidates[g * <EW> +: <EW>] = present[g] ? exponents[g * <EW> +: <EW>] : <EW>'d0;
    end
  endgenerate

  wire c_infinite, c_nan;
  wire [23:0] c_significand;
  wire [7:0] c_field;
  decode_fp32 decode_c (
    .code(c), .negative(negative[<G>]), .significand(c_significand), .exponent(c_field),
    .infinite(c_infinite), .nan(c_nan)
  );
  wire [<EW>-1:0] c_exponent = c_field + <EW>'d<C_BASE>;
  assign candidates[<G> * <EW> +: <EW>] = |c_significand ? c_exponent : <EW>'d<FLOOR>;
  wire [<EW>-1:0] top;
  <LARGEST> compare (.candidates(candidates), .largest(top));

  // terms in units of 2^(top - <F>), cut toward zero
  wire [(<G>+1)*<TERM>-1:0] terms;
  generate
    for (g = 0; g < <G>; g = g + 1) begin : aligned
      <ALIGN> move (
        .magnitude(products[g * <P> +: <P>]), .distance(top - exponents[g * <EW> +: <EW>]),
        .term(terms[g * <TERM> +: <TERM>])
      );
    end
  endgenerate
  wire [<F>:0] c_term;
  <ALIGN_C> move_c (.magnitude(c_significand), .distance(top - c_exponent), .term(c_term));
  assign terms[<G> * <TERM> +: <TERM>] = {<C_ABOVE>'d0, c_term};
  wire [<M_SUM>:0] total;
  <SUM> add (.terms(terms), .negative(negative), .total(total));

  wire [31:0] finite;
  <ROUND> truncate (.total(total), .exponent(top), .word(finite));
  wire not_a_number = (|scale_nan) | c_nan;
  assign d = not_a_number ? 32'h7FFFFFFF : c_infinite ? c : finite;
endmodule
"""

_ANY_PRODUCT = """\
// Whether any of 16 E2M1 products is not zero.
module any_product16 (input [63:0] a, input [63:0] b, output any);
  wire [15:0] nonzero;
  genvar i;
  generate
    for (i = 0; i < 16; i = i + 1) begin : lane
      assign nonzero[i] = (|a[4 * i +: 3]) & (|b[4 * i +: 3]);
    end
  endgenerate
  assign any = |nonzero;
endmodule
"""

# The sign of a UE4M3 byte is ignored; its subnormals keep the exponent 1 - 7 and are not normalised.
_SCALE_UE4M3 = """\
      wire [6:0] x = scale_a[8 * g +: 7];
      wire [6:0] y = scale_b[8 * g +: 7];
      assign scale_nan[g] = (&x) | (&y);
      assign factors[g * 8 +: 8] = {|x[6:3], x[2:0]} * {|y[6:3], y[2:0]};
      wire [3:0] x_exponent = {x[6:4], x[3] | ~(|x[6:3])};
      wire [3:0] y_exponent = {y[6:4], y[3] | ~(|y[6:3])};
      assign scale_exponents[g * <EW> +: <EW>] = x_exponent + y_exponent + <EW>'d<BASE>;"""

_SCALE_E8M0 = """\
      wire [7:0] x = scale_a[8 * g +: 8];
      wire [7:0] y = scale_b[8 * g +: 8];
      assign scale_nan[g] = (&x) | (&y);
      assign factors[g] = 1'b1; // powers of two
      assign scale_exponents[g * <EW> +: <EW>] = x + y<BASE>;"""


@dataclass(frozen=True)
class _Widths:
    """What follows from the largest and smallest exponents of a unit."""

    offset: int
    exponent_bits: int
    magnitude_bits: int

    @staticmethod
    def of(row: Row, least: int, greatest: int, terms: int, term_bits: int) -> _Widths:
        """Offset, exponent width, and a sum wide enough for `terms` and for the smallest result."""
        least = min(least, row.e_zero, -126)
        greatest = max(greatest, 127)
        needed = (terms * ((1 << term_bits) - 1)).bit_length()
        smallest = row.fraction_bits - 126 - row.e_zero + 1  # the top bit must not lie below 2^-126
        return _Widths(-least, (greatest - least).bit_length(), max(needed, smallest))


def tensor_dot(arch: str = "blackwell", operand: str = "nvfp4") -> Unit:
    """One fused group of ``tensor_core(arch, operand)`` with a float32 c and d; combinational.

    Ports ``a``, ``b`` (element codes), ``c``, block scales ``scale_a``, ``scale_b`` where the unit has them, ``d``.

    Raises:
        UnknownName, ArgumentError: no such unit, or one that is not NVIDIA's (other orders of addition), or whose
        codes have bits that it does not read (tf32).
    """
    datapath = tensor_core(arch, operand)
    row = datapath.row
    form = element(datapath.a_format)
    if row.model not in ("fused", "grouped") or row.rewrite or form.unread_bits:
        raise ArgumentError("only fused and grouped units have a circuit", got=datapath.name, where="tensor_dot")
    top = f"dot_{arch}_{operand.replace('.', '_')}"
    title = f"{arch} {operand} ({row.instruction})"
    scales = row.group // row.block if row.block else 0
    a, b, c = Port("a", form.word_bits, row.group), Port("b", form.word_bits, row.group), Port("c", 32)
    ports = (a, b, c, *((Port("scale_a", 8, scales), Port("scale_b", 8, scales)) if scales else ()))
    grouped = row.model == "grouped"

    def golden(values: Values) -> Values:
        codes = [values[name].astype(form.code_dtype) for name in ("a", "b")]
        words = values["c"].astype(np.uint32).view(np.float32)
        scale_bytes: list[NDArray[np.uint8] | None] = [None, None]
        if scales:
            scale_bytes = [values[name].astype(np.uint8).reshape(-1, scales) for name in ("scale_a", "scale_b")]
        dots = datapath.dot(codes[0], codes[1], words, scale_bytes[0], scale_bytes[1])
        return {"d": dots.view(np.uint32).astype(np.uint64)}

    return Unit(
        name=top,
        verilog=grouped_text(top, title, row) if grouped else fused_text(top, title, row, form),
        inputs=ports,
        outputs=(Port("d", 32),),
        golden=golden,
        operands=lambda rng, n: _operands(rng, n, ports, form, row),
        family="tensor_dot",
        parameters={"arch": arch, "operand": operand},
    )


def _decode_text(form: Element, bits: int) -> str:
    ones, zero = "(&field)", "(mantissa == 0)"
    return fill(
        _DECODE,
        NAME=form.name,
        BITS=bits,
        E=form.exponent_bits,
        M=form.mantissa_bits,
        U=form.unread_bits,
        SIGN=f"code[{form.magnitude_bits}]",
        INFINITE=f"{ones} & {zero}" if form.specials == "ieee" else "1'b0",
        NAN={"ieee": f"{ones} & ~{zero}", "nan": f"{ones} & (&mantissa)", "none": "1'b0"}[form.specials],
    )


def fused_text(top: str, title: str, row: Row, form: Element) -> str:
    """Module `top` of a fused unit with the numbers of `row`, which need not be a row of the catalogue."""
    e, m = form.exponent_bits, form.mantissa_bits
    scale = 254 if row.scale else 0
    base = -2 * form.bias - scale  # of the sum of exponent fields
    least = base + 2
    fields = (1 << e) - 1
    greatest = base + 2 * fields + 2 * scale
    term = row.fraction_bits + 2  # products are below 4
    widths = _Widths.of(row, least, greatest, row.group + 1, term)
    ew, offset = widths.exponent_bits, widths.offset
    constant = f"{ew}'d{(base + offset) % (1 << ew)}"  # the sum of two exponent fields is at least 2
    lane = f"product_{form.name}"
    pick, pick_text = largest(row.group + 1, ew)
    move, move_text = align(2 * m + 2, term, ew)
    move_c, move_c_text = align(24, row.fraction_bits + 1, ew)
    add, add_text = signed_sum(row.group + 1, term, widths.magnitude_bits + 1)
    scaled = {
        "SCALED": " * scale_a * scale_b" if scale else "",
        "SCALE_PORTS": ", input [7:0] scale_a, input [7:0] scale_b" if scale else "",
        "SCALE_EXPONENT": f"  wire [{ew - 1}:0] base = scale_a + scale_b + {constant};" if scale else "",
        "SCALE_NAN": " | (&scale_a) | (&scale_b)" if scale else "",
        "BASE": "+ base" if scale else f"+ {constant}",
    }
    return join(
        _decode_text(element("fp32"), 32),
        _decode_text(form, form.word_bits),
        fill(_LANE, TOP=lane, NAME=form.name, BITS=form.word_bits, FRACTION=2 * m, P=2 * m + 2, E=e, M=m),
        pick_text,
        move_text,
        move_c_text,
        add_text,
        round_to_fp32(f"round_{top}", widths.magnitude_bits, ew, offset, row.fraction_bits, _kept_bits(row)),
        fill(
            _FUSED,
            TITLE=title,
            TOP=top,
            L=row.group,
            BITS=form.word_bits,
            P=2 * m + 2,
            E=e,
            EW=ew,
            F=row.fraction_bits,
            TERM=term,
            M_SUM=widths.magnitude_bits,
            OFFSET=offset,
            C_BASE=offset - 127,
            E_ZERO=row.e_zero,
            FLOOR=offset + row.e_zero,
            LANE=lane,
            LARGEST=pick,
            ALIGN=move,
            ALIGN_C=move_c,
            SUM=add,
            ROUND=f"round_{top}",
            **scaled,
        ),
    )


def grouped_text(top: str, title: str, row: Row) -> str:
    """Module `top` of a unit that adds groups exactly, with the numbers of `row` and at most 64 products."""
    assert row.block is not None
    groups, scales = row.group // SUB_GROUP, row.group // row.block
    small = row.scale == "ue4m3"
    base = -14 if small else -254
    factor_bits = 8 if small else 1
    least, greatest = (base + 2, base + 30) if small else (base, base + 2 * 254)
    product = 12 + factor_bits if small else 12
    fraction = 2 + (6 if small else 0)  # E2M1 products are quarters, the significands of UE4M3 eighths
    # a term has the integer bits of its product and F bits of fraction
    term = row.fraction_bits + product - fraction
    widths = _Widths.of(row, least, greatest, groups + 1, term)
    ew, offset = widths.exponent_bits, widths.offset
    pick, pick_text = largest(groups + 1, ew)
    move, move_text = align(product, term, ew)
    move_c, move_c_text = align(24, row.fraction_bits + 1, ew)
    add, add_text = signed_sum(groups + 1, term, widths.magnitude_bits + 1)
    if small:
        scale = fill(_SCALE_UE4M3, EW=ew, BASE=base + offset)
    else:
        scale = fill(_SCALE_E8M0, EW=ew, BASE=f" + {ew}'d{base + offset}" if base + offset else "")
    assert dot_bits(SUB_GROUP) == 13
    return join(
        _decode_text(element("fp32"), 32),
        e2m1_dot_text(SUB_GROUP),
        _ANY_PRODUCT,
        pick_text,
        move_text,
        move_c_text,
        add_text,
        round_to_fp32(f"round_{top}", widths.magnitude_bits, ew, offset, row.fraction_bits, _kept_bits(row)),
        fill(
            _GROUPED,
            TITLE=title,
            TOP=top,
            G=groups,
            S=scales,
            SW=factor_bits,
            P=product,
            EW=ew,
            F=row.fraction_bits,
            TERM=term,
            C_ABOVE=term - row.fraction_bits - 1,
            M_SUM=widths.magnitude_bits,
            OFFSET=offset,
            C_BASE=offset - 127,
            FLOOR=offset + row.e_zero,
            SCALE=scale,
            FACTOR_TEXT=", in 1/64" if small else ": 1",
            LARGEST=pick,
            ALIGN=move,
            ALIGN_C=move_c,
            SUM=add,
            ROUND=f"round_{top}",
        ),
    )


def _kept_bits(row: Row) -> int:
    return 13 if row.rounding == "rz_e8m13" else 23


def _operands(rng: np.random.Generator, n: int, ports: tuple[Port, ...], form: Element, row: Row) -> Values:
    """Random codes; rows with zero groups and cancelling groups; scales and c near each other and at edges."""
    values = {port.name: random_words(rng, port, n) for port in ports}
    a, b, c = values["a"], values["b"], values["c"]
    kind = rng.integers(0, 12, size=n)
    sign = np.uint64(1 << form.magnitude_bits)
    if form.specials != "none":  # random codes of small formats are almost never all finite
        finite = kind < 10
        top = np.uint64(((1 << form.exponent_bits) - 1) << form.mantissa_bits)
        lowered = np.uint64(1 << (form.magnitude_bits - 1))
        for codes in (a, b):
            special = codes & top == top
            codes[:] = np.where(special & finite[:, None], codes ^ lowered, codes)
            if form.specials == "ieee":  # infinities without a NaN that hides them
                codes[:] = np.where(special & (kind == 11)[:, None], codes & (top | sign), codes)
    # groups of 16 (or all of a short one) become zero in a third of the rows, one code of a in another
    width = min(SUB_GROUP, row.group)
    empty = np.repeat(rng.random((n, row.group // width)) < 0.5, width, axis=1) & (kind % 3 == 0)[:, None]
    a[empty] &= sign
    a[(rng.random(a.shape) < 0.5) & (kind % 5 == 1)[:, None]] &= sign
    # halves that cancel
    half = row.group // 2
    cancel = np.flatnonzero(kind == 4)
    a[cancel, half:] = a[cancel, :half] ^ sign
    b[cancel, half:] = b[cancel, :half]
    pairs = np.flatnonzero(kind == 5)  # cancel within each group
    a[pairs, 1::2] = a[pairs, 0::2] ^ sign
    b[pairs, 1::2] = b[pairs, 0::2]
    values["c"] = _accumulators(rng, n, c)
    for name in ("scale_a", "scale_b"):
        if name in values:
            values[name] = _scales(rng, values[name], row.scale == "e8m0")
    if "scale_a" in values and row.group > SUB_GROUP:
        same = kind == 4
        for name in ("scale_a", "scale_b"):
            scale = values[name].reshape(n, -1)
            scale[same] = scale[same][:, :1]
        if row.scale == "e8m0":  # results near the largest and the smallest number
            ends = np.flatnonzero(kind == 8)
            scale_a = rng.integers(0, 255, size=(len(ends), *ports[3].shape))
            wanted = 254 + np.where(rng.random(scale_a.shape) < 0.5, 122, -148) + rng.integers(-6, 7, scale_a.shape)
            values["scale_a"][ends] = scale_a
            values["scale_b"][ends] = np.clip(wanted - scale_a, 0, 254)
    a[kind == 6] &= sign  # c alone
    _tower_over_little(rng, np.flatnonzero(kind == 7), values, form, row)
    return values


def _tower_over_little(
    rng: np.random.Generator, rows: NDArray[np.intp], values: Values, form: Element, row: Row
) -> None:
    """Rows whose zero terms have large exponents and whose others are small: a zero must not decide what is cut."""
    width = min(row.block or SUB_GROUP, row.group)
    blocks = rng.random((len(rows), row.group // width)) < rng.choice([0.5, 1.0], size=(len(rows), 1))
    zero = np.repeat(blocks, width, axis=1) if row.model == "grouped" else rng.random((len(rows), row.group)) < 0.5
    a, b = values["a"][rows], values["b"][rows]
    top = np.uint64((((1 << form.exponent_bits) - 1) << form.mantissa_bits) - (form.specials != "none"))
    small = np.uint64((1 << (form.mantissa_bits + 1)) - 1 | 1 << form.magnitude_bits)
    one_is_zero = rng.random((len(rows), 1)) < 0.5  # else, in a grouped unit, the scale is
    by_code = zero & (one_is_zero | (row.model == "fused"))
    values["a"][rows] = np.where(
        by_code, a & ~np.uint64(2 * (1 << form.magnitude_bits) - 1), np.where(zero, a, a & small)
    )
    values["b"][rows] = np.where(zero, top, b & small)
    if row.model == "grouped":
        powers = row.scale == "e8m0"
        large, little = np.uint64(200 if powers else 0x7E), np.uint64(100 if powers else 1)
        empty = np.where(one_is_zero, large, np.uint64(0))
        values["scale_a"][rows] = np.where(blocks, empty, little)
        values["scale_b"][rows] = np.where(blocks, large, little)
    tiny = rng.integers(0, 1 << 31, size=len(rows), dtype=np.uint64) >> np.uint64(rng.integers(0, 3))
    values["c"][rows] = np.where(rng.random(len(rows)) < 0.5, np.uint64(0), tiny >> np.uint64(1))


def _accumulators(rng: np.random.Generator, n: int, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """c: mostly of the size of the sum, else any word, zero, subnormal, edge or special."""
    kind = rng.integers(0, 8, size=n)
    near = (rng.standard_normal(n) * np.exp2(rng.integers(-12, 13, size=n))).astype(np.float32)
    edges = edge_words(rng, Port("c", 32), n)
    special = rng.choice(np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0x7F7FFFFF], np.uint64), size=n)
    out = np.where(kind < 4, near.view(np.uint32).astype(np.uint64), words)
    out = np.where(kind == 5, words & np.uint64(0x807FFFFF), out)
    out = np.where(kind == 6, words & np.uint64(0x80000000), out)
    return np.where(kind == 7, np.where(rng.random(n) < 0.3, special, edges), out)


def _scales(rng: np.random.Generator, words: NDArray[np.uint64], powers: bool) -> NDArray[np.uint64]:
    """Scale bytes: near one exponent, with some far, zero, subnormal and NaN ones."""
    n = len(words)
    kind = rng.integers(0, 8, size=n).reshape(n, *(1 for _ in words.shape[1:]))
    middle = np.uint64(127 if powers else 56)
    near = middle + words % np.uint64(9) - np.uint64(4)
    nan = np.where(rng.random(words.shape) < 0.1, np.uint64(255), near)
    low = words % np.uint64(10)
    out = np.where(kind < 4, near, words)
    out = np.where(kind == 5, low, out)
    return np.where(kind == 6, nan, out).astype(np.uint64)
