"""Self-checking test benches: golden vectors in, one line of verdict out.

A row of the vector file is one hexadecimal word: the inputs, first port in the lowest bits, then the expected
outputs. The bench compares with ``!==``, so that an undefined output is a mismatch too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.rtl.tools import simulate
from hwsim.rtl.unit import Port, Unit, Values, fill
from hwsim.storage import owned, write_whole

_BENCH = """\
// Self-checking bench of <TOP>: <N> golden vectors from the emulator, in <FILE>.
//   iverilog -g2005 -o <TOP>.vvp <TOP>.v <TOP>_tb.v && vvp -n <TOP>.vvp
`timescale 1ns/1ps
module <TOP>_tb;
  reg  [<IN>-1:0] stimulus;
  wire [<OUT>-1:0] response;
  reg  [<IN>+<OUT>-1:0] vectors [0:<N>-1]; // {expected outputs, inputs}
  reg  [<OUT>-1:0] expected;
  integer row, mismatches;
<CLOCK>
  <TOP> dut (
<CONNECTIONS>
  );

  initial begin
    $readmemh("<FILE>", vectors);
    mismatches = 0;
<BEFORE>    for (row = 0; row < <N>; row = row + 1) begin
      {expected, stimulus} = vectors[row];
<WAIT>
      if (response !== expected) begin
        mismatches = mismatches + 1;
        if (mismatches <= 5)
          $display("MISMATCH row %0d: inputs %h, expected %h, got %h", row, stimulus, expected, response);
      end
    end
    if (mismatches == 0) $display("PASS %0d vectors", row);
    else $display("FAIL %0d of %0d vectors", mismatches, row);
    $finish;
  end
endmodule
"""


def port_bits(port: Port, values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The port's vector bit by bit: values ``[n]`` or ``[n, count]`` -> ``[n, width]``, lowest bit first."""
    words = np.ascontiguousarray(values, dtype="<u8").reshape(len(values), port.count)
    bits = np.unpackbits(words.view(np.uint8).reshape(len(words), port.count, 8), axis=2, bitorder="little")
    return bits[:, :, : port.bits].reshape(len(words), port.width)


def port_values(port: Port, bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The inverse of `port_bits`."""
    padded = np.zeros((len(bits), port.count, 64), dtype=np.uint8)
    padded[:, :, : port.bits] = bits.reshape(len(bits), port.count, port.bits)
    words = np.packbits(padded, axis=2, bitorder="little").view("<u8").reshape(len(bits), port.count)
    return np.asarray(words[:, 0] if port.count == 1 else words, dtype=np.uint64)


def vector_file(unit: Unit, inputs: Values, outputs: Values) -> str:
    """Text for ``$readmemh``: a line a row."""
    columns = [port_bits(port, inputs[port.name]) for port in unit.inputs]
    columns += [port_bits(port, outputs[port.name]) for port in unit.outputs]
    packed = np.packbits(np.concatenate(columns, axis=1), axis=1, bitorder="little")[:, ::-1]
    text = np.ascontiguousarray(packed).tobytes().hex()
    step = 2 * packed.shape[1]
    return "\n".join(text[start : start + step] for start in range(0, len(text), step)) + "\n"


def testbench(unit: Unit, rows: int) -> str:
    """Verilog of the bench; it reads ``<name>.hex`` from the folder where it runs."""
    lines, offset = ["    .clk(clk),"] if unit.clocked else [], 0
    for port in unit.inputs:
        lines.append(f"    .{port.name}(stimulus[{offset} +: {port.width}]),")
        offset += port.width
    offset = 0
    for port in unit.outputs:
        lines.append(f"    .{port.name}(response[{offset} +: {port.width}]),")
        offset += port.width
    lines[-1] = lines[-1].rstrip(",")
    return fill(
        _BENCH,
        TOP=unit.top,
        N=rows,
        FILE=f"{unit.name}.hex",
        IN=unit.input_bits,
        OUT=offset,
        CONNECTIONS="\n".join(lines),
        CLOCK="  reg clk;\n" if unit.clocked else "",
        BEFORE="    clk = 0;\n" if unit.clocked else "",
        # inputs change while the clock is low, outputs are read after the edge
        WAIT="      #1 clk = 1;\n      #1 clk = 0;" if unit.clocked else "      #1;",
    )


def run_rtl(unit: Unit, inputs: Values, outputs: Values | None = None) -> int:
    """Rows that Icarus Verilog finds different from `outputs` (default: the golden ones); 0 is agreement."""
    expected = unit.golden(inputs) if outputs is None else outputs
    rows = len(inputs[unit.inputs[0].name])
    text = simulate(
        unit.verilog, testbench(unit, rows), files={f"{unit.name}.hex": vector_file(unit, inputs, expected)}
    )
    if re.search(rf"^PASS {rows} vectors$", text, re.MULTILINE):
        return 0
    if found := re.search(rf"^FAIL (\d+) of {rows} vectors$", text, re.MULTILINE):
        return int(found[1])
    raise AssertionError(f"the bench of {unit.name} gave no verdict: {text[:500]}")


def write_unit(
    unit: Unit, out_dir: str | Path, *, rows: int = 1000, seed: int = 0, force: bool = False
) -> Sequence[Path]:
    """Write module, bench and vectors of `unit` into `out_dir`; returns the three paths.

    Raises:
        ArgumentError: rows < 1, or the folder holds something else and `force` is false. StorageError: it cannot be
            written.
    """
    if rows < 1:
        raise ArgumentError("rows must be at least 1", got=rows, where="rows")
    inputs = unit.operands(np.random.default_rng(seed), rows)
    texts = {
        f"{unit.name}.v": unit.verilog,
        f"{unit.name}_tb.v": testbench(unit, rows),
        f"{unit.name}.hex": vector_file(unit, inputs, unit.golden(inputs)),
    }
    with owned(out_dir, "circuit", force=force) as folder:
        return [write_whole(folder / name, text) for name, text in texts.items()]
