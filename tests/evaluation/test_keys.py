"""A step is found by the content of its fields and by its code, and by nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim import content, datapaths, quant
from hwsim.arch import Numerics, Policy
from hwsim.datapaths.integer import Integer
from hwsim.errors import ArgumentError
from hwsim.evaluation import Evaluator
from hwsim.evaluation.steps import Additions, Counted, InGates, Operands, Replayed, Rerun, Tools
from hwsim.quant import Rotation, Scheme

INT8 = Numerics(quant.get("int8.channel"), quant.get("int8.channel"), datapaths.integer(8, 8, 32))
INT4 = Numerics(quant.get("int4.channel"), quant.get("int4.channel"), datapaths.integer(4, 4, 32))
NVFP4 = Numerics(
    quant.get("nvfp4.te"), quant.get("nvfp4.te"), datapaths.tensor_core("blackwell", "nvfp4"), Rotation(16, 0)
)
FREE = Scheme("free", "e2m1", "block", 16, "ue4m3", "te", True, "te", scale_bound=448.0, element_bound=6.0)
OPERANDS, TOOLS = Operands("0" * 16, "here"), Tools("0.23", "1" * 32, "zero")

# A record, and for each of its fields another value.
OTHERS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (OPERANDS, {"digest": "1" * 16, "path": "there"}),
    (TOOLS, {"yosys": "0.24", "library": "2" * 32, "delay": "unit"}),
    (Replayed(OPERANDS, Policy(INT8), None),
     {"operands": Operands("1" * 16, "here"), "policy": Policy(INT4), "seed": 0}),
    (Counted(OPERANDS, Policy(INT8)), {"operands": Operands("1" * 16, "here"), "policy": Policy(INT4)}),
    (Additions(OPERANDS, Policy(INT8)), {"operands": Operands("1" * 16, "here"), "policy": Policy(INT4)}),
    (InGates(OPERANDS, Policy(INT8), "ws", TOOLS),
     {"operands": Operands("1" * 16, "here"), "policy": Policy(INT4), "dataflow": "os",
      "tools": Tools("0.24", "1" * 32, "zero")}),
    (Rerun("a", "b", {"bytes": 64}, Policy(INT8), "gpt:build"),
     {"weights": "b", "sources": "a", "options": {"bytes": 65}, "policy": None, "spec": "other.py:build"}),
    (Policy(INT8), {"default": INT4, "attention": INT4, "overrides": (("head", None),)}),
    (NVFP4, {"activation": quant.get("nvfp4.te_sr"), "weight": quant.get("nvfp4.te_2d"), "rotation": None,
             "datapath": datapaths.dot("e2m1", group=32, block=16, scale="ue4m3")}),
    (Rotation(16, "drawn"), {"size": 32, "signs": 3, "redrawn": True}),
    (FREE, {"name": "other", "element": "e3m2", "granularity": "block2d", "block": 32, "scale_format": "ue5m3",
            "scale_rule": "torchao", "tensor_scale": False, "decode": "torchao", "rounding": "sr", "sr_bits": 9,
            "scale_bound": 256.0, "element_bound": 4.0, "element_unit": 0.5,
            "reciprocals": np.ones(1 << 23, np.float32), "source": "elsewhere"}),
    (Scheme("a", "int8", "channel", None, "fp32", "additions", additions=1.0), {"additions": 1.5}),
    (datapaths.integer(8, 8, 32), {"a_bits": 7, "b_bits": 7, "acc_bits": 31, "signed": False,
                                   "overflow": "saturate", "group": 4}),
)  # fmt: skip
ASIDE = {(Operands, "path"), (Rerun, "spec"), (Scheme, "source")}
"""Where something lies, and who said it."""


@pytest.mark.parametrize(
    ("record", "name", "value"),
    [(record, name, value) for record, others in OTHERS for name, value in others.items()],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_every_field_is_in_the_key(record, name, value):
    changed = replace(record, **{name: value})
    assert (content.digest(changed) == content.digest(record)) == ((type(record), name) in ASIDE)


def test_no_field_is_forgotten():
    """A field that is added to a record has to be added above."""
    seen: dict[type, set[str]] = {}
    for record, others in OTHERS:
        seen.setdefault(type(record), set()).update(others)
    for kind, names in seen.items():
        unknown = {field.name for field in dataclasses.fields(kind)} - names
        assert not unknown - ({"style"} if kind is Integer else set()), kind


def test_records_of_one_content_have_one_key():
    assert content.digest(Policy(INT8)) == content.digest(Policy(replace(INT8, datapath=datapaths.integer(8, 8, 32))))
    assert content.digest(1, [2.0], {"a": 1, "b": 2}, {3, 4}) == content.digest(1.0, (2,), {"b": 2, "a": 1}, {4, 3})
    different = [0.0, -0.0, float("nan"), float("inf"), True, None, "0", b"0", (0,), np.zeros(1), np.zeros(1, "f4")]
    assert len({content.digest(one) for one in different}) == len(different)
    assert content.digest(("a", "b"), "c") != content.digest(("a",), ("b", "c"))
    with pytest.raises(ArgumentError, match=r"^what is remembered must be numbers, text, arrays and records of them"):
        content.digest(object())


@dataclasses.dataclass(frozen=True)
class Dropped(Integer):
    """Loses the lowest 12 bits of every sum; its fields and its name are those of the stock unit."""

    def _dot(self, x: Any, w: Any, start: Any) -> Any:
        return super()._dot(x, w, start) >> 12 << 12

    def _matmul(self, x: Any, w: Any, start: Any) -> Any:
        return super()._matmul(x, w, start) >> 12 << 12


def test_a_subclass_with_another_sum_gets_its_own_number(tiny_trace, memo):
    """One memo, the stock unit first: each has the SQNR of its own sums, here by hand for the linear layer."""
    stock = hwsim.load_accelerator("edge-int8")
    unit = stock.policy.default.datapath
    other = Dropped(**{one.name: getattr(unit, one.name) for one in dataclasses.fields(unit)})
    assert (other.name, other.spec()) == (unit.name, unit.spec())
    policy = Policy(replace(stock.policy.default, datapath=other))
    evaluator = Evaluator(tiny_trace, memo=memo)
    found = [evaluator.sqnr_db(one)["up"] for one in (stock.policy, policy)]
    gemm = next(iter(tiny_trace.gemms("forward")))
    a, b = (np.float32(one.values[0]) for one in (gemm.a, gemm.b))
    qa, qb = (quant.quantize(one, "int8.channel") for one in (a, b))
    exact, sums = a.astype(float) @ b.T.astype(float), None
    sums = qa.codes.view(np.int8).astype(np.int64) @ qb.codes.view(np.int8).T.astype(np.int64)
    for value, made in zip(found, (sums, sums >> 12 << 12), strict=True):
        error = made * qa.scales.reshape(-1, 1).astype(float) * qb.scales.reshape(1, -1) - exact
        assert value == pytest.approx(10 * np.log10((exact**2).sum() / (error**2).sum()), abs=1e-3)
    assert found[0] - found[1] > 15
    assert evaluator.sqnr_db(stock.policy)["up"] == found[0]


def test_a_class_made_by_a_function_has_the_key_of_what_it_closes_over():
    def made(bits: int) -> type[Integer]:
        @dataclasses.dataclass(frozen=True)
        class Cut(Integer):
            def _dot(self, x: Any, w: Any, start: Any) -> Any:
                return Integer._dot(self, x, w, start) >> bits << bits

        return Cut

    keys = [content.digest(made(bits)(8, 8, 32)) for bits in (4, 4, 5)]
    assert keys[0] == keys[1] != keys[2]


def test_steps_of_different_code_differ():
    """Equal fields, another class: what counts is what runs."""
    assert content.digest(Counted(OPERANDS, Policy(INT8))) != content.digest(Additions(OPERANDS, Policy(INT8)))
