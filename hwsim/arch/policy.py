"""Which arithmetic each layer uses.

A policy is an ordered list of exceptions over a default, as training recipes write it ("the last block stays in 8
bits"). A table with one entry a layer was rejected: it cannot be reused for another model.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from hwsim import content
from hwsim.arch.numerics import Numerics, Role
from hwsim.errors import DesignError


@dataclass(frozen=True, slots=True)
class Policy:
    """Numerics by layer.

    Args:
        default: what a GEMM uses unless something below says otherwise.
        attention: for products of two activations; None means `default`.
        overrides: pairs of a layer pattern (``"blocks.0.*"``, shell wildcards, whole name) and its numerics, or None
            for float32; the first that matches wins, attention products included.

    Raises:
        DesignError: products of two activations would have no unit: `attention` is None and the b port of `default`
            takes no activations, or the numerics of an override take none on either port; rotations of several sizes,
            for which one machine has no network.
    """

    default: Numerics
    attention: Numerics | None = None
    overrides: tuple[tuple[str, Numerics | None], ...] = ()

    def __post_init__(self) -> None:
        products = self.attention or self.default
        if not products.multiplies_activations:
            raise DesignError(
                "must be given, or take activations on both ports: attention multiplies two activations",
                got=products.label,
                where="numerics.attention",
            )
        sizes = sorted({one.rotation.size for one in self.numerics if one.rotation is not None})
        if len(sizes) > 1:
            raise DesignError("rotations must have one size", got=sizes, where="numerics.rotation.size")

    def for_gemm(self, layer: str, b_role: Role = "weight") -> Numerics | None:
        """The numerics of a GEMM of `layer` whose operand b has the role `b_role`; None is float32.

        An override for weights only (its b port takes no activations) leaves attention products to `attention`.
        """
        for pattern, numerics in self.overrides:
            if fnmatchcase(layer, pattern) and (
                numerics is None or b_role == "weight" or numerics.multiplies_activations
            ):
                return numerics
        return self.default if b_role == "weight" else self.attention or self.default

    @property
    def key(self) -> str:
        """What two policies share exactly if every layer computes the same bits (`hwsim.content`)."""
        return content.key(self)

    @property
    def rotation(self) -> int | None:
        """Elements of a tile of all rotations, None without any."""
        return next((one.rotation.size for one in self.numerics if one.rotation is not None), None)

    @property
    def numerics(self) -> tuple[Numerics, ...]:
        """Every different arithmetic that the policy names, the default first."""
        named = [self.default, *([self.attention] if self.attention else []), *(n for _, n in self.overrides if n)]
        return tuple(dict.fromkeys(named))
