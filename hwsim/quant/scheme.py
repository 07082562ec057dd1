"""What a quantization scheme is: how a tensor becomes codes and scales, and how they become numbers again.

"NVFP4" alone names no bits: libraries compute its scales in different orders and disagree. So a `Scheme` states the
order: the scale rule (tensor amax -> block scale -> multiplier of an element) and the decode order are named
choices, and `hwsim.quant.catalog` gives a name to every combination that somebody ships. A dictionary of options
handed to every operation was rejected: nobody can say what such a dictionary computes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwsim import content, formats
from hwsim.errors import ArgumentError
from hwsim.formats import Format

Granularity = Literal["tensor", "channel", "block", "block2d"]
"""What shares a scale: the tensor; a slice along the axis; `block` neighbours along it; a square of the last two
axes."""

MinifloatRule = Literal[
    "te",
    "te_4over6",
    "te_fast",
    "flashinfer_exact",
    "flashinfer_fast",
    "vllm_ref",
    "torchao",
    "modelopt",
    "fp4atw",
    "exact",
]
PowerRule = Literal["floor", "ceil", "even", "rceil", "rceil_te"]
FloatRule = Literal["absmax", "absmean", "additions"]
ScaleRule = Literal[MinifloatRule, PowerRule, FloatRule, "none"]
"""How scales are found; each is defined, operation by operation, in `hwsim.quant.reference`."""

Decode = Literal["te", "torchao", "vllm", "code_first", "fp4atw", "scale"]
"""How a value is put together, q the element, s the block scale, A the tensor amax, F the largest product of both:
``te`` q*((s*A)*fl(1/F)); ``torchao`` q*(s*(A/F)); ``vllm`` q*(s/S), S the encode scale; ``code_first`` ((q*s)*A)/F;
``fp4atw`` (q/s)*(A/F); ``scale`` q*s. Without a tensor scale all but ``fp4atw`` are q*s."""

Rounding = Literal["rne", "sr"]

E8M0_RULES = get_args(PowerRule)
MINIFLOAT_RULES = get_args(MinifloatRule)
FLOAT_RULES = get_args(FloatRule)

RECIPROCALS_NEEDED = (
    "flashinfer_fast must have a table of float32 [8388608]: it uses rcp.approx.ftz.f32, whose bits only a GPU knows"
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to quantize, down to the order of float32 operations.

    Args:
        name: how reports call it.
        element: name of the elements' Format.
        granularity: what shares a scale.
        block: elements along the axis (both of the last two axes for ``block2d``) that share a scale; None otherwise.
        scale_format: name of the scales' Format; ``fp32`` for ``absmax``, ``absmean`` and ``additions``; None for a
            plain cast.
        scale_rule: how scales are found.
        tensor_scale: whether one float32 scale of the whole tensor stands above the block scales.
        decode: the order of the multiplications that give values back.
        rounding: of elements: to nearest even, or stochastic.
        sr_bits: random bits an element, for ``sr``.
        scale_bound: the largest scale that the tensor scale aims at; None: the largest of the scale format.
        element_bound: the largest element that the scale aims at; None: the largest of the element format, for
            integers the largest positive one. Integers saturate there, floats at the largest of their format.
        additions: for the rule ``additions`` only: R, the mean magnitude that the codes of a channel get, each of
            which an add-only unit pays for with one addition.
        element_unit: the value of an integer element's code 1: 1 everywhere but in OCP's MXINT8, which counts in
            64ths.
        reciprocals: for ``flashinfer_fast`` only: the GPU's reciprocal of 1.m for each of the 2^23 float32 mantissas.
        source: where the order of operations was read.
    """

    name: str
    element: str
    granularity: Granularity
    block: int | None = None
    scale_format: str | None = None
    scale_rule: ScaleRule = "none"
    tensor_scale: bool = False
    decode: Decode = "scale"
    rounding: Rounding = "rne"
    sr_bits: int = 8
    scale_bound: float | None = None
    element_bound: float | None = None
    additions: float | None = None
    element_unit: float = 1.0
    reciprocals: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    source: str = field(default="", compare=False, metadata=content.ASIDE)

    def __post_init__(self) -> None:
        formats.get(self.element)
        self._one_of("granularity", self.granularity, get_args(Granularity))
        self._one_of("scale_rule", self.scale_rule, get_args(ScaleRule))
        self._one_of("decode", self.decode, get_args(Decode))
        self._one_of("rounding", self.rounding, get_args(Rounding))
        if (self.block is not None) != self.granularity.startswith("block"):
            self._fail("block must be given for blocks and only there", self.block, "block")
        if self.block is not None and not 1 <= self.block <= 1 << 20:
            self._fail("block must lie in 1..1048576", self.block, "block")
        if not 1 <= self.sr_bits <= 24:
            self._fail("sr_bits must lie in 1..24", self.sr_bits, "sr_bits")
        self._check_scale()

    def _check_scale(self) -> None:
        rule, scale = self.scale_rule, self.scale_format
        if rule == "none":
            if scale is not None or self.granularity != "tensor":
                self._fail("a plain cast must have no scale and the granularity tensor", scale, "scale_format")
            return
        if self.element_format.bits > 8:
            self._fail("scaled elements must have at most 8 bits", self.element, "element")
        if not (self.element_format.signed and self.element_format.zero and self.element_format.mantissa_bits):
            self._fail("scaled elements must have a sign, a zero and mantissa bits", self.element, "element")
        if rule in FLOAT_RULES:
            if scale != "fp32" or self.tensor_scale:
                self._fail(f"{rule} must have fp32 scales and no tensor scale", scale, "scale_format")
        elif rule in E8M0_RULES:
            if scale != "e8m0" or self.tensor_scale:
                self._fail(f"{rule} must have e8m0 scales and no tensor scale", scale, "scale_format")
        else:
            form = formats.get(scale) if scale is not None else None
            if form is None or form.bits > 8 or form.is_integer or not form.zero:
                self._fail(
                    f"{rule} must have scales in a float format of at most 8 bits with a zero", scale, "scale_format"
                )
        if rule == "absmean" and self.granularity != "tensor":
            self._fail("absmean must have the granularity tensor", self.granularity, "granularity")
        if (rule == "additions") != (self.additions is not None and self.additions > 0):
            self._fail(
                "additions must be positive for the rule additions, and nowhere else", self.additions, "additions"
            )
        if rule == "additions" and self.granularity != "channel":
            self._fail("additions must have the granularity channel", self.granularity, "granularity")
        if rule == "te_4over6" and self.granularity != "block":
            self._fail("te_4over6 must have the granularity block", self.granularity, "granularity")
        if rule == "flashinfer_fast" and (self.reciprocals is None or self.reciprocals.shape != (1 << 23,)):
            self._fail(RECIPROCALS_NEEDED, None, "reciprocals")
        if rule in ("te_4over6", "exact") and self.rounding != "rne":
            self._fail(f"{rule} must round to nearest even", self.rounding, "rounding")

    def _one_of(self, name: str, value: str, known: tuple[str, ...]) -> None:
        if value not in known:
            self._fail(f"{name} must be one of {', '.join(known)}", value, name)

    def _fail(self, rule: str, got: object, name: str) -> None:
        raise ArgumentError(rule, got=got, where=f"scheme {self.name}.{name}")

    @property
    def element_format(self) -> Format:
        """The Format of the elements."""
        return formats.get(self.element)

    @property
    def element_max(self) -> float:
        """The largest magnitude of an element: symmetric for integers, ``element_bound`` where given."""
        return self.element_format.max * self.element_unit if self.element_bound is None else self.element_bound

    @property
    def element_top(self) -> float:
        """The largest magnitude that codes reach: elements saturate there. A bound of a float format is only what
        scales aim at, so that rounding up beyond it does not clip."""
        form = self.element_format
        return self.element_max if form.is_integer else form.max * self.element_unit

    @property
    def scale_max(self) -> float:
        """The largest block scale that the tensor scale aims at; 1 without block scales of a small format."""
        if self.scale_bound is not None:
            return self.scale_bound
        if self.scale_format in (None, "fp32", "e8m0"):
            return 1.0
        return formats.get(str(self.scale_format)).max

    @property
    def scale_format_max(self) -> float:
        """The largest number of the scale format."""
        return formats.get(str(self.scale_format)).max

    @property
    def product_max(self) -> float:
        """F: largest element times largest scale, 2688 for NVFP4."""
        return self.element_max * self.scale_max

    @property
    def scale_bits(self) -> int:
        """Storage of one scale."""
        return 0 if self.scale_format is None else formats.get(self.scale_format).bits
