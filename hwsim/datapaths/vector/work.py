"""Kinds of work in an operator graph as operators of the vector unit.

Decides which circuits a kind of `hwsim.trace.graph.VECTOR_KINDS` uses. Kinds that have no recipe of their own take
the one whose circuits do at least as much: a sigmoid is the gate of a SiLU, a mask and a comparison are a maximum,
what an operator does that nobody recognised is an addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from hwsim.cost.quantity import Quantity, total
from hwsim.datapaths.vector.cost import unit_depth, unit_price
from hwsim.datapaths.vector.encoder_prices import short
from hwsim.datapaths.vector.encoders import Encoder
from hwsim.datapaths.vector.price import Operator, operator, priced, recipe
from hwsim.errors import UnknownName

if TYPE_CHECKING:
    from hwsim.quant import Scheme

OPERATORS: Mapping[str, str] = {
    "softmax": "softmax", "layernorm": "layernorm", "groupnorm": "layernorm", "batchnorm": "scale",
    "rmsnorm": "rmsnorm", "add": "add", "mul": "mul", "scale": "scale", "square": "mul", "divide": "mul",
    "relu": "max", "mask": "max", "compare": "max", "pool": "max", "gelu": "gelu", "tanh": "gelu", "exp": "gelu",
    "rsqrt": "gelu", "silu": "silu", "sigmoid": "silu", "rope": "rope", "reduce": "add", "elementwise": "add",
    "other": "add", "embedding": "embedding", "cache": "embedding", "copy": "embedding",
}  # fmt: skip

LANE = ("softmax", "layernorm", "rmsnorm", "gelu", "silu", "rope", "max", "add", "mul")
"""What a lane of a vector unit can do; circuits that several of them use are there once."""

PRECISIONS: Mapping[str, str] = {"int8": "pwl8", "fp16": "fp16", "fp32": "fp32"}
"""Names of a machine's precisions among the recipes."""


@lru_cache(maxsize=1024)
def work(kind: str, precision: str, softmax: str = "exact") -> Operator:
    """The operator that does a kind of work.

    Args:
        kind: of a graph's operator, but not ``"requantize"`` (see `requantize`).
        precision: of a machine's vector unit.
        softmax: ``"exact"``, or the EXAQ variant.

    Raises:
        UnknownName: no such kind or precision.
    """
    if kind not in OPERATORS:
        raise UnknownName("kind of vector work", kind, OPERATORS)
    if precision not in PRECISIONS:
        raise UnknownName("precision of a vector unit", precision, PRECISIONS)
    exaq = kind == "softmax" and softmax != "exact"
    return operator(OPERATORS[kind], softmax if exaq else PRECISIONS[precision])


_THRESHOLDS = {("e2m1", "e8m0"): "mx_e2m1", ("e4m3", "e8m0"): "mx_e4m3", ("e2m1", "ue4m3"): "nvfp4_e2m1"}
"""Elements under scales whose encoder is a circuit of its own: E2M1 counts thresholds."""


@lru_cache(maxsize=256)
def requantize(scheme: Scheme) -> Operator:
    """The operator that turns results into operands of a scheme: sums into integers, or float32 into blocks.

    Everything follows from the scheme's fields: the element's circuit from element and scale format
    (`hwsim.datapaths.vector.encoders`), the scale's from scale format and largest element, and how often a scale is
    made from the block. Not in it: random bits of stochastic rounding, the tensor's own scale, and what rules for
    powers of two do beside taking the exponent of the largest magnitude. A cast without block scales is priced as
    MXFP8's encoder, integers of more than 4 bits without them as the multiplier for 8.

    Raises:
        ArgumentError: a block scale that is neither a power of two nor a float with mantissa bits.
    """
    element = scheme.element_format
    if scheme.granularity not in ("block", "block2d"):
        if element.is_integer:
            return operator("requant", "m16.int4" if element.bits <= 4 else "m16.int8")
        return operator("quantize", "mxfp8")
    assert scheme.block is not None
    block = scheme.block ** (2 if scheme.granularity == "block2d" else 1)
    scale = _unsigned(str(scheme.scale_format))
    pair = scheme.element, scale
    encoder = _THRESHOLDS.get(pair) or Encoder(*pair).name
    if scale == "e8m0":
        maker = "mx_scale_e2m1" if element.bits <= 4 else "mx_scale_e4m3"  # a constant less: as one of either width
    elif pair in _THRESHOLDS and scheme.element_max == element.max:
        maker = "nvfp4_scale"
    else:
        maker = Encoder(scale, short(scheme.element_max)).name
    uses = {"absmax_fp32": 1.0, encoder: 1.0, maker: 1 / block}
    return priced("quantize", f"{scheme.element}.{scale}", uses)


def _unsigned(scale: str) -> str:
    """The scale's format without its sign bit, which no scale uses, where that has a name."""
    return "ue4m3" if scale == "e4m3" else scale


@lru_cache(maxsize=16)
def rotate(size: int) -> Operator:
    """The operator that turns tiles of `size` float32 numbers in front of their quantization."""
    return operator("rotate", f"fp32.{size}")


def delay_bits(rotation: int | None, lanes: int) -> int:
    """Flip-flops of the delay lines of a rotation's network, of all lanes together.

    Lanes hold neighbours (of a number of lanes that is no power of two, the next smaller one), so that butterflies
    over nearer ones need no memory; a stage that reaches beyond holds the words between its two operands.
    """
    return 0 if rotation is None else 32 * max(0, rotation - _tile(lanes))


def delay_edges(rotation: int | None, lanes: int) -> int:
    """Clock edges of flip-flops of the delay lines for one element: a word in each stage that has one."""
    return 0 if rotation is None else 32 * max(0, rotation.bit_length() - _tile(lanes).bit_length())


def _tile(lanes: int) -> int:
    return 1 << lanes.bit_length() - 1


@lru_cache(maxsize=64)
def lane_circuits(
    precision: str, softmax: str, schemes: tuple[Scheme, ...], rotation: int | None = None
) -> Mapping[str, int]:
    """Circuits of one lane and how many of each: every one that its operators use, once, those of the requantisation
    of `schemes`, and a network of its own for tiles of `rotation`, an adder for each stage of butterflies."""
    uses: dict[str, None] = {}
    for kind in LANE:
        wanted = softmax if kind == "softmax" and softmax != "exact" else PRECISIONS[precision]
        uses.update(dict.fromkeys(recipe(kind, wanted).uses(64, 64)))
    for scheme in schemes:
        uses.update(dict.fromkeys(requantize(scheme).uses))
    copies = dict.fromkeys(uses, 1)
    if rotation is not None:
        for name, count in rotate(rotation).uses.items():
            copies[name] = copies.get(name, 0) + round(count)
    return copies


@lru_cache(maxsize=64)
def lane_area_um2(precision: str, softmax: str, schemes: tuple[Scheme, ...], rotation: int | None = None) -> Quantity:
    """Area of one lane at 45 nm, its pipeline's registers not included."""
    circuits = lane_circuits(precision, softmax, schemes, rotation)
    areas = [unit_price(name).area.scaled(copies) for name, copies in circuits.items()]
    return total(areas, f"a lane of {len(areas)} circuits, {precision}, softmax {softmax}")


@lru_cache(maxsize=512)
def lane_depth(
    precision: str, softmax: str, schemes: tuple[Scheme, ...], stages: int, rotation: int | None = None
) -> Quantity:
    """FO4 of the longest stage of a lane whose circuits have `stages` stages each; registers stand between them."""
    cuts = [unit_depth(name, stages).quantity for name in lane_circuits(precision, softmax, schemes, rotation)]
    return max(cuts, key=lambda one: one.value)


def cut_bits(uses: Mapping[str, float], stages: int) -> float:
    """Flip-flops inside circuits of `stages` stages that these uses of them pass."""
    return sum(count * unit_depth(name, stages).register_bits for name, count in uses.items())
