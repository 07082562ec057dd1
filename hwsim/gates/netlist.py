"""A mapped netlist in the order in which it computes.

Decides what a circuit is for the simulator: nets by index, gates in topological order, and flip-flops cut open, so
that a state is one more input of the logic and its next value one more output. Every clock cycle then stands alone
and becomes one lane of the bit-parallel simulator; carrying the state through time gate by gate was rejected, as it
leaves 63 of 64 lanes empty. One clock net is allowed, driven by an input port: gated and derived clocks have no cycle
of their own here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hwsim.errors import ArgumentError
from hwsim.gates.boolean import Function
from hwsim.gates.liberty import Cell, Library

ZERO, ONE = 0, 1  # the nets of the two constants


@dataclass(frozen=True, slots=True)
class Instance:
    """One placed cell and the net at each of its connected pins."""

    name: str
    cell: Cell
    nets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gate:
    """One output of a combinational cell: bit ``i`` of `table` answers the pattern ``i`` of the nets `inputs`."""

    output: int
    inputs: tuple[int, ...]
    table: int


@dataclass(frozen=True, slots=True)
class Register:
    """One flip-flop: its state leaves on the nets `q` (True: inverted); `inputs` and `table` give its next state.

    An input of -1 is the state itself. An asynchronous clear or preset takes effect with the next cycle.
    """

    name: str
    q: tuple[tuple[int, bool], ...]
    inputs: tuple[int, ...]
    table: int


@dataclass(frozen=True, slots=True, eq=False)
class Netlist:
    """A mapped module.

    Attributes:
        nets: names by index; nets 0 and 1 are the constants.
        inputs: nets of every input port except the clock, bit 0 first.
        outputs: nets of every output port, bit 0 first.
        states: registers, as indexes into `registers`, of every named state such as ``acc``, bit 0 first.
        gates: in topological order.
        clock: net of the clock, None where nothing is stored.
    """

    name: str
    library: Library
    nets: tuple[str, ...]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    states: Mapping[str, tuple[int, ...]]
    instances: tuple[Instance, ...]
    gates: tuple[Gate, ...]
    registers: tuple[Register, ...]
    clock: int | None

    @property
    def area_um2(self) -> float:
        """Sum of the cells' areas."""
        return sum(instance.cell.area_um2 for instance in self.instances)

    @property
    def levels(self) -> int:
        """Gates on the longest path."""
        level = [0] * len(self.nets)
        for gate in self.gates:
            level[gate.output] = 1 + max((level[net] for net in gate.inputs), default=0)
        return max(level, default=0)


def build_netlist(module: Mapping[str, Any], library: Library, name: str = "top") -> Netlist:
    """The netlist of one flat module of Yosys' JSON, mapped to `library`.

    Raises:
        ArgumentError: a cell is no gate or flip-flop of the library, gates form a loop, a net has no driver or two,
            or the flip-flops do not share one clock that is an input.
    """
    index: dict[int | str, int] = {"0": ZERO, "x": ZERO, "z": ZERO, "1": ONE}
    for bit in sorted(_bits(module)):
        index[bit] = len(index) - 2
    instances = tuple(
        Instance(
            cell_name,
            _known_cell(cell["type"], library, f"{name}.{cell_name}"),
            MappingProxyType({pin: index[bits[0]] for pin, bits in cell["connections"].items() if bits}),
        )
        for cell_name, cell in module["cells"].items()
    )
    nets = _net_names(module, index)
    ports = {
        port: (facts["direction"], tuple(index[bit] for bit in facts["bits"]))
        for port, facts in module["ports"].items()
    }
    clock = _clock(instances, ports, name)
    registers = tuple(_register(instance) for instance in instances if instance.cell.flip_flop is not None)
    gates = [gate for instance in instances if instance.cell.flip_flop is None for gate in _gates(instance)]
    inputs = {port: bits for port, (way, bits) in ports.items() if way == "input" and clock not in bits}
    _check_drivers(gates, registers, inputs, ports, nets, name, clock)
    return Netlist(
        name=name,
        library=library,
        nets=nets,
        inputs=MappingProxyType(inputs),
        outputs=MappingProxyType({port: bits for port, (way, bits) in ports.items() if way == "output"}),
        states=MappingProxyType(_states(module, index, registers)),
        instances=instances,
        gates=_levelised(gates, nets, name),
        registers=registers,
        clock=clock,
    )


def _bits(module: Mapping[str, Any]) -> set[int]:
    lists = [port["bits"] for port in module["ports"].values()]
    lists += [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
    return {bit for bits in lists for bit in bits if isinstance(bit, int)}


def _known_cell(kind: str, library: Library, where: str) -> Cell:
    cell = library.cells.get(kind)
    if cell is None or cell.latch or not cell.outputs:
        raise ArgumentError("a cell must be a gate or a flip-flop of the library", got=kind, where=where)
    return cell


def _net_names(module: Mapping[str, Any], index: Mapping[int | str, int]) -> tuple[str, ...]:
    """For every net its shortest public name, else its shortest one."""
    best: dict[int, tuple[int, int, str]] = {}
    for name, facts in module.get("netnames", {}).items():
        for position, bit in enumerate(facts["bits"]):
            if isinstance(bit, int) and bit in index:
                label = name if len(facts["bits"]) == 1 else f"{name}[{position}]"
                rank = facts.get("hide_name", 0), len(label), label
                best[index[bit]] = min(best.get(index[bit], rank), rank)
    names = {net: label for net, (_, _, label) in best.items()}
    return "0", "1", *(names.get(net, f"net{net}") for net in range(2, max(index.values()) + 1))


def _clock(
    instances: tuple[Instance, ...], ports: Mapping[str, tuple[str, tuple[int, ...]]], name: str
) -> int | None:
    clocks: set[tuple[int, int]] = set()
    for instance in instances:
        if (storage := instance.cell.flip_flop) is not None:
            clocks.add((instance.nets[storage.clock], storage.edge))
    if not clocks:
        return None
    clock = next(iter(clocks))[0]
    drivers = {bits[0] for way, bits in ports.values() if way == "input" and len(bits) == 1}
    if len(clocks) > 1 or clock not in drivers:
        raise ArgumentError(
            "all flip-flops must share one edge of one clock that is an input", got=len(clocks), where=name
        )
    return clock


def _register(instance: Instance) -> Register:
    storage = instance.cell.flip_flop
    assert storage is not None
    where = instance.name
    following = storage.next_state
    if storage.preset is not None:
        following = _combined(following, storage.preset, lambda held, preset: held | preset, where)
    if storage.clear is not None:
        following = _combined(following, storage.clear, lambda held, clear: held & (1 ^ clear), where)
    q = [
        (instance.nets[pin], function.table == 1)
        for pin, function in instance.cell.outputs.items()
        if pin in instance.nets
    ]
    inputs = tuple(-1 if pin == storage.state else instance.nets[pin] for pin in following.inputs)
    return Register(instance.name, tuple(q), inputs, following.table)


def _combined(first: Function, second: Function, rule: Any, where: str) -> Function:
    inputs = tuple(dict.fromkeys(first.inputs + second.inputs))
    if len(inputs) > 6:
        raise ArgumentError("the next state of a flip-flop must have at most 6 inputs", got=len(inputs), where=where)

    def pick(function: Function, pattern: int) -> int:
        return function(sum((pattern >> inputs.index(pin) & 1) << bit for bit, pin in enumerate(function.inputs)))

    table = sum(rule(pick(first, p), pick(second, p)) << p for p in range(1 << len(inputs)))
    return Function(inputs, table)


def _gates(instance: Instance) -> list[Gate]:
    found = []
    for pin, function in instance.cell.outputs.items():
        if pin in instance.nets:
            reduced = function.reduced()
            missing = [name for name in reduced.inputs if name not in instance.nets]
            if missing:
                raise ArgumentError("every input pin must be connected", got=missing[0], where=instance.name)
            found.append(Gate(instance.nets[pin], tuple(instance.nets[p] for p in reduced.inputs), reduced.table))
    return found


def _check_drivers(
    gates: list[Gate],
    registers: tuple[Register, ...],
    inputs: Mapping[str, tuple[int, ...]],
    ports: Mapping[str, tuple[str, tuple[int, ...]]],
    nets: tuple[str, ...],
    name: str,
    clock: int | None,
) -> None:
    driven = [gate.output for gate in gates] + [net for register in registers for net, _ in register.q]
    driven += [net for bits in inputs.values() for net in bits]
    seen = {ZERO, ONE}
    for net in driven:
        if net in seen:
            raise ArgumentError("a net must have one driver", got=nets[net], where=name)
        seen.add(net)
    read = [net for gate in gates for net in gate.inputs]
    read += [net for register in registers for net in register.inputs if net >= 0]
    read += [net for way, bits in ports.values() if way == "output" for net in bits]
    for net in read:
        if net == clock:
            raise ArgumentError("the clock must drive flip-flops alone", got=nets[net], where=name)
        if net not in seen:
            raise ArgumentError("a net must have a driver", got=nets[net], where=name)


def _states(
    module: Mapping[str, Any], index: Mapping[int | str, int], registers: tuple[Register, ...]
) -> dict[str, tuple[int, ...]]:
    """Public names whose every bit is the upright output of a register."""
    owner = {
        net: position for position, register in enumerate(registers) for net, inverted in register.q if not inverted
    }
    found = {}
    for name, facts in module.get("netnames", {}).items():
        bits = [owner.get(index.get(bit, -1), -1) for bit in facts["bits"]]
        if not facts.get("hide_name", 0) and bits and min(bits) >= 0:
            found[name] = tuple(bits)
    return found


def _levelised(gates: list[Gate], nets: tuple[str, ...], name: str) -> tuple[Gate, ...]:
    """Gates by level; what cannot be placed lies on a loop or behind one."""
    driver = {gate.output: position for position, gate in enumerate(gates)}
    waiting = [sum(net in driver for net in gate.inputs) for gate in gates]
    readers: dict[int, list[int]] = {}
    for position, gate in enumerate(gates):
        for net in gate.inputs:
            readers.setdefault(net, []).append(position)
    level = [position for position, count in enumerate(waiting) if not count]
    order: list[int] = []
    while level:
        order += level
        following = []
        for position in level:
            for reader in readers.get(gates[position].output, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    following.append(reader)
        level = following
    if len(order) < len(gates):
        left = min(nets[gate.output] for position, gate in enumerate(gates) if waiting[position])
        raise ArgumentError("gates must not form a loop", got=left, where=name)
    return tuple(gates[position] for position in order)
