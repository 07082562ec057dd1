"""The conformance suite on every kind of unit of the catalogue, and on units with planted faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import datapaths
from hwsim.datapaths.base import Datapath
from hwsim.testing import check_datapath, missing_views

# unit -> whether its circuits are mapped to gates in the fast tests: seconds for a small one
UNITS: dict[Datapath, bool] = {
    datapaths.integer(4, 4, 12): True,
    datapaths.integer(8, 4, 14, overflow="saturate"): True,
    datapaths.integer(3, 5, 12, signed=False): True,
    datapaths.integer(4, 4, 20, group=16): True,
    datapaths.integer(8, 4, 14, overflow="saturate", group=3): True,
    datapaths.integer(3, 5, 12, signed=False, group=6): True,
    datapaths.pann(6, 1.17, 20): True,
    datapaths.pann(4, 2.0, 16, signed=False): True,
    datapaths.shift("fixed", 14): True,
    datapaths.shift(): False,
    datapaths.ternary_lut(2, luts=2): True,
    datapaths.ternary_lut(3, "fp16"): False,
    datapaths.ternary_lut(2, "bf16", 2): False,
    datapaths.tensor_core("blackwell", "nvfp4"): False,
    datapaths.tensor_core("blackwell", "mxfp4"): False,
    datapaths.tensor_core("blackwell", "mxfp6.e2m3"): False,
    datapaths.tensor_core("blackwell", ("e4m3", "e2m1"), promote_every=128): False,
    datapaths.tensor_core("hopper", "e4m3"): False,
    datapaths.tensor_core("hopper", "e4m3.mma_sync"): False,
    datapaths.tensor_core("ampere", "fp16", "fp16"): False,
    datapaths.tensor_core("ampere", "tf32"): False,
    datapaths.tensor_core("cdna1", "bf16"): False,
    datapaths.tensor_core("cdna2", "fp16"): False,
    datapaths.tensor_core("cdna3", "e4m3fnuz"): False,
    datapaths.dot("e3m1", group=4, fraction_bits=9, block=8, scale="ue5m3"): True,
    datapaths.dot("e2m1", "e3m2", group=8, fraction_bits=13, block=4, scale="e4m3"): False,
    datapaths.dot("e4m3", group=16, align="grouped", fraction_bits=20, block=64, scale="ue5m3"): False,
    datapaths.dot("e2m1", group=64, align="grouped", fraction_bits=35, block=64, scale="ue5m3"): False,
    datapaths.dot("e4m3", group=8, align="exact", block=8, scale="e8m0"): False,
    datapaths.dot("e3m1", group=8, acc="fp16"): False,
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_conform(unit: Datapath) -> None:
    assert check_datapath(unit, vectors=200, gates=UNITS[unit]) == []


def test_every_family_is_among_them() -> None:
    assert {unit.spec()["family"] for unit in UNITS} == set(datapaths.FAMILIES)


def test_what_a_unit_lacks_is_said_by_name() -> None:
    assert missing_views(datapaths.integer(4, 4, 12)) == []
    assert missing_views(datapaths.tensor_core("cdna3", "fp16")) == ["gates", "price"]
    assert missing_views(datapaths.dot("e4m3", align="grouped", block=16, scale="e8m0")) == ["price"]


@dataclass(frozen=True)
class Halved(datapaths.integer):  # type: ignore[misc,valid-type]
    """Multiplies as its parent by the scalar path, and drops a bit by the fast one."""

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        return super()._matmul(x, w, start) // 2 * 2


@dataclass(frozen=True)
class Rounded(Halved):
    """Drops the bit in both, but keeps circuits that do not."""

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        return super()._dot(x, w, start) // 2 * 2


def test_planted_faults_are_seen() -> None:
    halved = {failure.check for failure in check_datapath(Halved(4, 4, 12), vectors=50, gates=False)}
    assert "dot and matmul" in halved
    assert "running sums" in halved
    rounded = {failure.check for failure in check_datapath(Rounded(4, 4, 12), vectors=50, gates=False)}
    assert "dot and matmul" not in rounded
    assert "running sums" in rounded


def test_a_subclass_has_another_key() -> None:
    """What is remembered of a unit is not found for another with its name, fields and digits."""
    stock, other = datapaths.integer(8, 8, 24), Halved(8, 8, 24)
    assert stock.name == other.name
    assert stock.key == datapaths.integer(8, 8, 24).key
    assert other.key not in (stock.key, Rounded(8, 8, 24).key, Halved(8, 8, 20).key)
    assert Halved(8, 8, 24).key == other.key


def test_names_tell_free_units_apart() -> None:
    rng = np.random.default_rng(0)
    units = set()
    for _ in range(200):
        units.add(
            datapaths.dot(
                str(rng.choice(["e2m1", "e3m1"])), str(rng.choice(["e2m1", "e3m1"])), int(rng.choice([8, 16])),
                int(rng.choice([13, 25])), block=int(rng.choice([16, 32])), scale=str(rng.choice(["e8m0", "ue5m3"])),
                acc=str(rng.choice(["fp32", "e8m13"])), e_zero=int(rng.choice([-133, -140])),  # type: ignore[arg-type]
            )
        )  # fmt: skip
    assert len({unit.name for unit in units}) == len(units) > 50
