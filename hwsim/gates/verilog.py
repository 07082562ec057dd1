"""A netlist as Verilog that any simulator runs: the second opinion on what the bit-parallel simulator counts.

Decides that the text is cut where the simulator cuts: ports and flip-flop outputs enter as one vector, and every net
is a wire named by its index, so that a waveform of it compares net by net. Functions are shifted truth tables.
"""

from __future__ import annotations

from hwsim.gates.netlist import Netlist


def cut_sources(netlist: Netlist) -> tuple[int, ...]:
    """Nets that the vector ``source`` of `gate_verilog` drives, bit 0 first: input ports, then flip-flop outputs."""
    ports = [net for bits in netlist.inputs.values() for net in bits]
    return *ports, *(net for register in netlist.registers for net, _ in register.q)


def gate_verilog(netlist: Netlist, *, name: str = "gates", unit_delay: bool = False) -> str:
    """A Verilog-2005 module ``name(input [..] source)`` whose wire ``n<i>`` is net i.

    With `unit_delay` each gate follows its inputs after one time unit, else at once.
    """
    sources = cut_sources(netlist)
    delay = "#1 " if unit_delay else ""
    lines = [
        f"module {name}(input [{max(len(sources), 1) - 1}:0] source);",
        "  wire n0 = 1'b0;",
        "  wire n1 = 1'b1;",
    ]
    lines += [f"  wire n{net};" for net in sources]
    lines += [f"  wire n{gate.output};" for gate in netlist.gates]
    lines += [f"  assign n{net} = source[{bit}];" for bit, net in enumerate(sources)]
    for gate in netlist.gates:
        pattern = ", ".join(f"n{net}" for net in reversed(gate.inputs))
        size = 1 << len(gate.inputs)
        value = f"{size}'h{gate.table:x} >> {{{pattern}}}" if gate.inputs else f"1'b{gate.table}"
        lines.append(f"  assign {delay}n{gate.output} = {value};")
    return "\n".join([*lines, "endmodule", ""])
