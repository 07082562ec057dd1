"""A graph as JSON: tensors and operators as rows of their fields, fields of default values left out."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hwsim.errors import TraceError
from hwsim.storage import Flag, OneOf, Record, Rows, Text, Whole, checked, parse_json
from hwsim.trace.gemm import PHASES, ROLES, GemmShape
from hwsim.trace.graph import VECTOR_KINDS, Access, Graph, Operator, Tensor, Window


def write_graph(graph: Graph) -> bytes:
    """The JSON of a graph, one line a tensor and an operator."""
    tensors = ",\n  ".join(_line(tensor) for tensor in graph.tensors)
    operators = ",\n  ".join(_line(operator) for operator in graph.operators)
    return f'{{"tensors": [\n  {tensors}\n ],\n "operators": [\n  {operators}\n ]}}\n'.encode()


_NAME, _SIZE = Text(4096), Whole(0, 2**48)
_WINDOW = Record(
    {"images": Whole(1, 2**40), "channels": Whole(1, 2**40)}
    | dict.fromkeys(("sizes", "kernel", "stride", "dilation", "padding", "outputs"), Rows(Whole(0, 2**40), 1, 8))
)
_GRAPH = Record(
    {
        "tensors": Rows(
            Record(
                {
                    "name": _NAME, "shape": Rows(Whole(0, 2**40), 0, 16), "dtype": Text(32),
                    "source": OneOf(("input", "weight", "state", "computed")),
                },
                {"is_output": Flag()},
            )
        ),
        "operators": Rows(
            Record(
                {
                    "layer": _NAME, "kind": OneOf(("gemm", *VECTOR_KINDS)), "phase": OneOf(PHASES), "output": _NAME,
                    "inputs": Rows(
                        Record(
                            {"tensor": _NAME, "elements": _SIZE},
                            {"kind": OneOf(("whole", "view", "window", "gather")), "window": _WINDOW},
                        ),
                        0, 4096,
                    ),
                },
                {
                    "elements": _SIZE,
                    "gemm": Record(
                        {
                            "layer": _NAME, "op": _NAME, "phase": OneOf(PHASES), "b_role": OneOf(ROLES),
                            "batch": _SIZE, "m": _SIZE, "n": _SIZE, "k": _SIZE,
                        },
                        {"groups": Whole(1, 2**48), "causal": Flag()},
                    ),
                    "record": Whole(0, 2**32), "folded": Text(),
                },
            )
        ),
    }
)  # fmt: skip


def read_graph(data: bytes, where: str) -> Graph:
    """What `write_graph` wrote.

    Raises:
        TraceError: it is no graph, or one that names a tensor that it does not hold; `where` is the file.
    """
    held = checked(parse_json(data, "graph", where, TraceError), _GRAPH, "graph", where, TraceError)
    tensors = tuple(Tensor(**{**row, "shape": tuple(row["shape"])}) for row in held["tensors"])
    graph = Graph(tensors, tuple(_operator(row) for row in held["operators"]))
    known = graph.by_name
    if len(known) < len(tensors):
        raise TraceError("tensors of a graph must have different names", where=where)
    for place, operator in enumerate(graph.operators):
        at = f"{where}: operators[{place}]"
        if missing := [n for n in (operator.output, *(one.tensor for one in operator.inputs)) if n not in known]:
            raise TraceError("an operator must access tensors of its graph", got=missing[0], where=at)
        for access in operator.inputs:
            if access.elements > known[access.tensor].elements:
                raise TraceError("an operator must access at most what a tensor has", got=access.elements, where=at)
            if access.window is not None and len({len(getattr(access.window, name)) for name in _SIZES}) > 1:
                raise TraceError("a window must have one number a spatial axis", got=access.window, where=at)
        if (operator.kind == "gemm") != (operator.gemm is not None) or (operator.gemm and len(operator.inputs) < 2):
            raise TraceError("a product must have its shape and two operands", got=operator.kind, where=at)
    return graph


_SIZES = ("sizes", "kernel", "stride", "dilation", "padding", "outputs")


def _line(record: Any) -> str:
    return json.dumps(_fields(record), separators=(",", ":"), ensure_ascii=False)


def _fields(record: Any) -> Any:
    if dataclasses.is_dataclass(record):
        values = ((field, getattr(record, field.name)) for field in dataclasses.fields(record))
        return {field.name: _fields(value) for field, value in values if value != field.default}
    return [_fields(item) for item in record] if isinstance(record, tuple) else record


def _operator(row: dict[str, Any]) -> Operator:
    inputs = tuple(_access(access) for access in row["inputs"])
    gemm = GemmShape(**row["gemm"]) if "gemm" in row else None
    return Operator(**{**row, "inputs": inputs, "gemm": gemm})


def _access(row: dict[str, Any]) -> Access:
    window = row.get("window")
    if window is None:
        return Access(**row)
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in window.items()
    }
    return Access(**{**row, "window": Window(**sizes)})
