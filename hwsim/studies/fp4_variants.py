"""Recipes that the study of training in four bits makes itself: blocks and scale formats, and a finetuning phase.

All have the split rounding of arXiv 2505.19115: to nearest in the forward and for the weights of dgrad, stochastic
for gradients and for the activations of wgrad. Its own sweep has no tensor scale but for E4M3; here every small float
format has one, so that formats differ in precision and not in where their range lies. E8M0 rounds scales up and needs
none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwsim import quant, recipes
from hwsim.quant import Scheme
from hwsim.recipes import Change, Gemm, Layer, Monitor, Operand, Recipe
from hwsim.recipes.quantizers import ZerosStay

BLOCKS = (8, 16, 32, 64, 128)
SCALES = ("e1m6", "e2m5", "e3m4", "e4m3", "e5m2", "e6m1", "e8m0")
BASE = "fp4-all-the-way"
LIFTED = 0.8
"""Where the long finetuning phase begins, as a fraction of the steps; the paper's own is the last 4 %."""


@dataclass(frozen=True, slots=True)
class Variant:
    """E2M1 in blocks with scales of a format."""

    block: int
    scale: str

    @property
    def name(self) -> str:
        """``block16.e4m3``."""
        return f"block{self.block}.{self.scale}"

    @property
    def recipe(self) -> Recipe:
        """`BASE` with these blocks and scales."""
        nearest, stochastic = (self._operand(random) for random in (False, True))
        layer = Layer(Gemm(nearest, nearest), Gemm(stochastic, nearest), Gemm(stochastic, stochastic))
        return replace(recipes.get(BASE), name=self.name, layer=layer, claims=())

    def _operand(self, random: bool) -> Operand:
        scheme = self._scheme()
        if random:
            scheme = replace(scheme, name=f"{scheme.name}_sr", rounding="sr", sr_bits=24)
        return Operand(ZerosStay(scheme) if scheme.tensor_scale else scheme)

    def _scheme(self) -> Scheme:
        if self.scale == "e8m0":
            return replace(quant.get("mxfp4.rceil"), name=f"fp4.{self.name}", block=self.block)
        return replace(quant.get("nvfp4.te"), name=f"fp4.{self.name}", block=self.block, scale_format=self.scale)


def variants() -> tuple[Variant, ...]:
    """All blocks under E4M3 and E8M0, all scale formats in blocks of 16."""
    blocks = (Variant(block, scale) for scale in ("e4m3", "e8m0") for block in BLOCKS)
    return tuple(dict.fromkeys((*blocks, *(Variant(16, scale) for scale in SCALES))))


def finetuned() -> tuple[Recipe, ...]:
    """`BASE` without a switch, with the paper's finetuning of the last 4 %, and with one of the last fifth; all of
    them watch the noise."""
    watched = replace(recipes.get(BASE), monitor=Monitor(threshold=0.0))
    paper = replace(recipes.get(f"{BASE}-qaf"), monitor=Monitor(threshold=0.0))
    longer = watched.then(Change(LIFTED, ("dgrad", "wgrad")), name=f"{BASE}-qaf20")
    return watched, paper, longer
