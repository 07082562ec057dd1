"""N:M sparse gradients without bias: arXiv 2203.10991.

Of each four neighbours along the contraction at most two of the gradient stay, drawn so that the estimate has no bias
and the least variance: along output features in dgrad, along tokens in wgrad, two different draws. `mvue-1-2` keeps
one of two. `mvue-combined` adds the paper's greedy masks: 2:4 of the weights' largest in fprop and dgrad. `mvue-luq`
rounds what stays by LUQ.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Mask, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import Luq, Sawb

_PAPER = "Chmiel et al., Minimum Variance Unbiased N:M Sparsity for the Neural Gradients, arXiv 2203.10991"
_KEPT = (Rule(Selection(kinds=("head", "embedding"))),)
_HIGH, _COPY = Operand(), Operand(source="forward")
_LARGEST = Operand(mask=Mask(2, 4, "largest"))


def _recipe(name: str, title: str, layer: Layer, *claims: str) -> Recipe:
    return Recipe(name, title, _PAPER, layer, rules=_KEPT, unbiased=True, claims=(
        "the body of the paper was not at hand: the estimate is derived, its variance checked", *claims))  # fmt: skip


def _sparse(n: int, m: int) -> Gemm:
    return Gemm(Operand(mask=Mask(n, m)), _HIGH)


RECIPES = (
    _recipe("mvue", "2:4 sparse gradients, unbiased", Layer(None, _sparse(2, 4), _sparse(2, 4))),
    _recipe("mvue-1-2", "1:2 sparse gradients, unbiased", Layer(None, _sparse(1, 2), _sparse(1, 2))),
    _recipe(
        "mvue-combined",
        "2:4 sparse weights by magnitude and 2:4 unbiased gradients",
        Layer(Gemm(_HIGH, _LARGEST), Gemm(Operand(mask=Mask(2, 4)), _COPY), _sparse(2, 4)),
        "weights are masked anew in each step by their magnitude along the inputs; the gradient is that of the "
        "masked function, passed straight through to all weights",
    ),
    _recipe(
        "mvue-luq",
        "2:4 sparse gradients in LUQ, INT4 forward",
        Layer(
            Gemm(Operand(Sawb()), Operand(Sawb())),
            Gemm(Operand(Luq(), mask=Mask(2, 4)), _COPY),
            Gemm(Operand(Luq(), mask=Mask(2, 4)), _COPY),
        ),
        "a combination of two papers that neither measures",
    ),
)
