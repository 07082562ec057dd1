"""Prices of encoders of any fields: a table of a sample that was synthesised, and a fit through it for all others.

``data/encoders.csv`` and ``data/encoder_depths.csv`` hold the circuits of `samples`; ``python -m
hwsim.datapaths.vector.encoder_prices`` makes them anew. A circuit of the table has its own row; any other has the fit
of its features: steps of the division times width of its remainder, bits of the shifts, of the rounding and of the
normalisation of a subnormal scale. Every third circuit is held out of the fit, by a hash of its name, and the 95th
percentile of the errors on those is the error of what the fit prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import numpy as np

from hwsim import formats
from hwsim.cost import depths
from hwsim.cost.depths import STAGES, Depth
from hwsim.cost.features import Features
from hwsim.cost.fit import Fit, Point, fit, is_held_out, predict
from hwsim.datapaths.vector.encoders import Encoder
from hwsim.datapaths.vector.measuring import TABLE, UnitPrice, csv_text, measured, table
from hwsim.errors import ArgumentError
from hwsim.rtl.unit import Values

ENCODERS = TABLE.with_name("encoders.csv")
DEPTHS = TABLE.with_name("encoder_depths.csv")

_BY_POWER = ("e1m1", "e2m1", "e1m2", "e3m1", "e2m2", "e1m3", "e3m2", "e2m3", "e4m2", "e3m3", "e4m3", "e5m2", "e3m4",
             "e2m5", "e1m6", "int4", "int6", "int8")  # fmt: skip
_SCALES = ("ue4m3", "ue5m3", "e5m2", "e3m4", "e4m2", "e5m1")
_LARGEST = (6.0, 7.0, 7.5, 28.0, 31.0, 127.0)


def samples() -> Iterator[Encoder]:
    """The circuits of the table: every element under a power of two, each scale with elements of all widths."""
    for element in _BY_POWER:
        yield Encoder(element, "e8m0")
    for place, scale in enumerate(_SCALES):
        for element in _BY_POWER[place % 3 :: 3]:
            yield Encoder(element, scale)
        for largest in _LARGEST[place % 2 :: 2]:
            yield Encoder(scale, largest)


def named(name: str) -> Encoder:
    """The encoder of a name."""
    target, _, by = name.removeprefix("round_").partition("_by_")
    return Encoder(target, float(by.replace("p", ".")) if by[:1].isdigit() else by)


def is_encoder(name: str) -> bool:
    """Whether a circuit's name is one of an encoder."""
    return name.startswith("round_")


def features(encoder: Encoder) -> Features:
    """What a circuit is made of, in bits."""
    kept, behind = encoder.mantissa, encoder.divisor_mantissa
    divided, ported = behind > 0, encoder.scale is not None and behind > 0
    shifts = (kept + 4) * (kept + 2).bit_length()
    return {
        "one": 1.0,
        "mantissa": float(kept),
        "shift": float(shifts),
        "sticky": float(24 - kept - behind),
        "division": float((kept + 3) * (behind + 1) * divided * ported),
        "constant": float((kept + 3) * (behind + 1) * divided * (not ported)),
        "normalisation": float((behind + 1) * ported),
        "exponent": float(encoder.scale.exponent_bits if encoder.scale is not None else 0),
        "sign": float(encoder.form.bits * (encoder.signed and encoder.form.is_integer)),
    }


def encoder_price(encoder: Encoder) -> UnitPrice:
    """Of the table, or of the fit."""
    rows = table(ENCODERS)
    if encoder.name in rows:
        return rows[encoder.name]
    values = {column: _fitted(column) for column in ("area_um2", "fast_area_um2", "depth_fo4", "energy_fj",
                                                     "glitch_energy_fj", "leakage_nw")}  # fmt: skip
    own = features(encoder)
    found = {column: predict(one.coefficients, own) for column, one in values.items()}
    error = max(values[column].p95_error for column in ("area_um2", "energy_fj"))
    source = f"fit of {len(rows)} encoders, {next(iter(rows.values())).source}"
    return UnitPrice(encoder.name, **found, levels=0, source=source, fit_error=error)


def encoder_depth(encoder: Encoder, stages: int = 1) -> Depth:
    """Of the table, or of the fit, in `stages` stages or the next smaller number that the table holds.

    Raises:
        ArgumentError: stages outside of the table.
    """
    if not STAGES[0] <= stages <= STAGES[-1]:
        raise ArgumentError(f"stages must be {STAGES[0]}..{STAGES[-1]}", got=stages, where=encoder.name)
    if encoder.name in depths.table(DEPTHS):
        return depths.depth(encoder.name, stages, DEPTHS)
    cuts, own = max(count for count in STAGES if count <= stages), features(encoder)
    longest = _fitted_depth("depth_fo4", cuts)
    bits = predict(_fitted_depth("register_bits", cuts).coefficients, own) if cuts > 1 else 0.0
    price = encoder_price(encoder)
    known = next(iter(depths.table(DEPTHS).values()))[cuts]
    return Depth(
        encoder.name, "encoder", cuts, predict(longest.coefficients, own), 0.0, 0, max(0, round(bits)),
        price.fast_area_um2, price.area_um2, known.error_factor * (1 + longest.p95_error),
        f"fit of {len(depths.table(DEPTHS))} encoders, {known.source}",
    )  # fmt: skip


@cache
def _fitted(column: str) -> Fit:
    rows = table(ENCODERS)
    return fit([_point(name, getattr(row, column)) for name, row in rows.items()], positive=True)


@cache
def _fitted_depth(column: str, stages: int) -> Fit:
    rows = depths.table(DEPTHS)
    return fit([_point(name, getattr(row[stages], column)) for name, row in rows.items()], positive=True)


def _point(name: str, value: float) -> Point:
    return Point(name, features(named(name)), value, is_held_out(name))


def errors() -> Mapping[str, Fit]:
    """The fits by column, with their errors on held-out circuits."""
    return {column: _fitted(column) for column in ("area_um2", "energy_fj", "depth_fo4")}


def stream(encoder: Encoder, rng: np.random.Generator, steps: int) -> Values:
    """Operands of normal numbers in blocks of 32: the scale of each block makes its largest element the largest."""
    size = 32
    words = rng.standard_normal(-(-steps // size) * size).astype(np.float32).view(np.uint32).astype(np.uint64)
    tops = (words & np.uint64(0x7FFFFFFF)).reshape(-1, size).max(axis=1)
    if not encoder.signed:
        return {"x": np.resize(tops, steps)}
    scale, top = encoder.scale, float(formats.get(encoder.target).max)
    assert scale is not None
    if scale.mantissa_bits:
        codes = Encoder(str(encoder.divisor), short(top)).code(tops)
    else:
        exponent = (tops >> np.uint64(23)).astype(np.int64) - int(np.floor(np.log2(top)))
        codes = np.maximum(exponent - 127 + scale.bias, 0).astype(np.uint64)
    return {"x": words[:steps], "scale": np.repeat(codes, size)[:steps]}


def short(value: float) -> float:
    """A constant as a circuit divides by it: its eight leading bits."""
    exponent = int(np.floor(np.log2(value)))
    return float(np.ldexp(np.round(np.ldexp(value, 7 - exponent)), exponent - 7))


def write(progress: Callable[[str], None] = lambda line: None) -> None:
    """Make both tables anew.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    made = {}
    for encoder in samples():
        progress(encoder.name)
        made[encoder.name] = measured(encoder.unit(), partial(stream, encoder))
    by = "python -m hwsim.datapaths.vector.encoder_prices"
    ENCODERS.write_text(csv_text(made, by), encoding="utf-8")
    tool = next(iter(made.values())).source.partition(", ")[2]
    text = depths.csv_text((encoder.unit() for encoder in samples()), tool, progress, by)
    DEPTHS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
