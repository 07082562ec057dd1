"""Every function a cell can have, reduced and then computed by the kernel, against its own truth table."""

import itertools

import numpy as np
import pytest

from hwsim.gates.boolean import Function
from hwsim.gates.kinds import TABLE, reduce_function
from hwsim.gates.netlist import Gate, Netlist
from hwsim.gates.program import compile_netlist
from hwsim.gates.simulator import evaluate


def _netlist(functions, library):
    """One gate for every function, all on the same six inputs."""
    gates = tuple(Gate(8 + i, tuple(range(2, 2 + len(f.inputs))), f.table) for i, f in enumerate(functions))
    return Netlist(
        name="functions",
        library=library,
        nets=tuple(f"n{i}" for i in range(8 + len(gates))),
        inputs={"a": tuple(range(2, 8))},
        outputs={f"y{i}": (gate.output,) for i, gate in enumerate(gates)},
        states={},
        instances=(),
        gates=gates,
        registers=(),
        clock=None,
    )


def _all_functions(count):
    names = tuple("ABCDEF"[:count])
    functions = (Function(names, table) for table in range(1 << (1 << count)))
    return [f for f in functions if len(f.reduced().inputs) == count]


def _check(functions, library):
    netlist = _netlist(functions, library)
    outputs = evaluate(netlist, {"a": np.arange(64)})
    _, operands, _, tables, _ = compile_netlist(netlist).arrays
    for i, function in enumerate(functions):
        size = 1 << len(function.inputs)
        expected = [function.table >> pattern % size & 1 for pattern in range(64)]
        assert outputs[f"y{i}"].tolist() == expected, function
        nets = [2 | pattern << 2 for pattern in range(64)]  # constant 0, constant 1, then the six inputs
        entries = [sum((values >> net & 1) << j for j, net in enumerate(operands[i])) for values in nets]
        assert [int(tables[i]) >> int(entry) & 1 for entry in entries] == expected, function


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_all_functions_of_up_to_three_inputs(count, tiny):
    _check(_all_functions(count), tiny)


def test_functions_of_four_to_six_inputs(tiny, rng):
    functions = []
    for count in (4, 5, 6):
        names = tuple("ABCDEF"[:count])
        functions += [Function(names, int(rng.integers(1 << 62)) & (1 << (1 << count)) - 1) for _ in range(60)]
    _check([f for f in functions if len(f.reduced().inputs) == len(f.inputs)], tiny)


def test_no_cell_of_either_library_needs_its_truth_table(hwsim45, osu018):
    for cell in itertools.chain(hwsim45.cells.values(), osu018.cells.values()):
        if cell.flip_flop is None and not cell.latch:
            for function in cell.outputs.values():
                reduced = function.reduced()
                assert reduce_function(len(reduced.inputs), reduced.table)[0] != TABLE, cell.name


def test_every_cell_with_all_bubbles(hwsim45):
    """Each cell's function under every inversion of its inputs and output, through the kernel."""
    functions = []
    for cell in hwsim45.cells.values():
        for function in () if cell.flip_flop else cell.outputs.values():
            count = len(function.inputs)
            full = (1 << (1 << count)) - 1
            for flips in range(1 << count):
                table = sum(function(pattern ^ flips) << pattern for pattern in range(1 << count))
                functions += [Function(function.inputs, table), Function(function.inputs, table ^ full)]
    _check(functions, hwsim45)
