"""Small faults of meaning in arch, timing, cost and evaluation: what a wrong thought would have written.

Chosen by reading the code, before looking for tests that would see them. `tests/mutants/run.py` plants them one by one.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One fault: in `file` the text `old`, which stands there once, becomes `new`."""

    file: str
    old: str
    new: str
    meaning: str


def of(file: str, *rows: tuple[str, str, str]) -> list[Fault]:
    return [Fault(f"hwsim/{file}.py", *row) for row in rows]


FAULTS: tuple[Fault, ...] = (
    # arch
    *of(
        "arch/dataflow",
        (
            'Dataflow("ws", "weights stay", "k", "n", 2)',
            'Dataflow("ws", "weights stay", "k", "n", 1)',
            "ws fills once R",
        ),
        (
            'Dataflow("os", "outputs stay", "m", "n", 1)',
            'Dataflow("os", "outputs stay", "m", "n", 2)',
            "os fills twice R",
        ),
        (
            'Dataflow("is", "inputs stay", "k", "m", 2)',
            'Dataflow("is", "inputs stay", "m", "k", 2)',
            "is lies transposed",
        ),
        ("self.row_fills * rows + cols - 2)", "self.row_fills * rows + cols - 1)", "an edge one cycle too long"),
        ("-(-inner // packing.planes)", "inner // packing.planes", "a ragged plane is dropped"),
        (
            "deep, wide = -(-height // rows), -(-width // cols)",
            "deep, wide = -(-height // rows), width // cols + 1",
            "a fold more where columns divide evenly",
        ),
    ),
    *of(
        "arch/memory",
        ("self.kib * 8192 /", "self.kib * 8000 /", "a KiB of 1,000 byte"),
        ("(self.copies if self.replicated else 1)", "(1 if self.replicated else self.copies)", "replicas hold more"),
        (
            'self.copies * sum(port.bits for port in self.ports if port.direction != "write")',
            'sum(port.bits for port in self.ports if port.direction != "write")',
            "copies read through one port",
        ),
        (
            'self.copies * sum(port.bits for port in self.ports if port.direction != "read")',
            'self.copies * sum(port.bits for port in self.ports if port.direction == "read")',
            "writes by the read port",
        ),
    ),
    *of(
        "arch/accelerator",
        ("* 8 / self.clock_ghz", "/ self.clock_ghz", "bytes a second taken for bits"),
        ("return cycles / (self.clock_ghz * 1e9)", "return cycles / (self.clock_ghz * 1e6)", "GHz taken for MHz"),
    ),
    *of(
        "arch/units",
        (
            'if scheme.granularity == "channel":\n        scales = rows',
            'if scheme.granularity == "channel":\n        scales = 1',
            "a channel's scales stored once",
        ),
        (
            "scales = rows * -(-k // (scheme.block or 1))",
            "scales = rows * (k // (scheme.block or 1))",
            "no scale for a ragged block",
        ),
        ("+ (TENSOR_SCALE_BITS if scheme.tensor_scale else 0)", "", "the tensor's scale is free"),
        ("return rows * elements + scales", "return elements + scales", "one row stored"),
    ),
    *of(
        "arch/parts",
        ("return self.rows * self.cols * self.count", "return self.rows * self.cols", "one array of many"),
    ),
    *of(
        "arch/clock",
        ("return min(limits, key=", "return max(limits, key=", "the fastest unit sets the clock"),
    ),
    *of(
        "arch/plan",
        (
            "return self.compute_cycles * self.used_rows * self.used_cols",
            "return self.compute_cycles * self.used_rows",
            "one column clocked",
        ),
        (
            "sum(row.read_bits for step in self.steps for row in step.traffic if row.level == self.dram)",
            "sum(row.read_bits for step in self.steps for row in step.traffic)",
            "all levels' reads are DRAM's",
        ),
        ("sum(row.written_bits for step", "sum(row.read_bits for step", "DRAM writes counted as reads"),
        (
            "return sum(step.cycles.latency for step in self.steps)",
            "return max(step.cycles.latency for step in self.steps)",
            "steps at the same time",
        ),
    ),
    *of(
        "arch/row_stationary",
        ("dram_outputs=sums,", "dram_outputs=2 * sums,", "outputs stored twice"),
        ("sum_accesses=2 * sums * by_channels", "sum_accesses=sums * by_channels", "sums written, never read"),
        (
            "channels * rows * kernel * batches * rounds,",
            "channels * rows * kernel * rounds,",
            "weights once for all batches",
        ),
    ),
    # timing
    *of(
        "timing/cycles",
        ("return folds * (steps + edge)", "return folds * steps + edge", "no overlap fills once"),
        ("return folds * steps + edge", "return folds * steps", "a fill that is free"),
    ),
    *of(
        "timing/counts",
        ("a, b, visits = fn, tiles, fk\n", "a, b, visits = 1, tiles, fk\n", "ws reads inputs once for all columns"),
        ("a, b, visits = fn, tiles, fk\n", "a, b, visits = fn, 1, fk\n", "ws reads weights once for all tiles"),
        ("a, b, visits = fn, fm, pk\n", "a, b, visits = fn, fm, pk + 1\n", "os writes its sums once more"),
        ("a, b, visits = pn, fm, fk\n", "a, b, visits = fm, fm, fk\n", "is reads inputs for each fold"),
        (
            "edge = used_r + used_c - 2\n                mask = used_r",
            "edge = 2 * used_r + used_c - 2\n                mask = used_r",
            "os fills as ws does",
        ),
        (
            "if par[OVERLAP] == FILL:\n                cycles += edge",
            "if par[OVERLAP] == FILL:\n                cycles += 0",
            "the fill is free",
        ),
        (
            "steady = max(load - first + store - last, compute * rest / tiles, vector * rest / tiles)",
            "steady = max(load - first, store - last, compute * rest / tiles, vector * rest / tiles)",
            "loads and stores share no channel",
        ),
        (
            "return first + last + (compute + vector) / tiles + steady",
            "return first + (compute + vector) / tiles + steady",
            "the last store is free",
        ),
        (
            "return first + last + (compute + vector) / tiles + steady",
            "return last + (compute + vector) / tiles + steady",
            "the first load is free",
        ),
        (
            "    if (pm > 1 and at_m > at_n) or (pk > 1 and at_k > at_n):\n        a = pn",
            "    if (pm > 1 and at_m > at_n) or (pk > 1 and at_k > at_n):\n        a = 1",
            "inputs never come again",
        ),
        ("        b = pm\n", "        b = pn\n", "weights come again a column tile"),
        ("        visits = pk\n", "        visits = 1\n", "sums are never spilled"),
    ),
    *of(
        "timing/steps",
        (
            "(visits - 1) * par[c.SUM_BITS]\n        flows",
            "visits * par[c.SUM_BITS]\n        flows",
            "the last sums spilled too",
        ),
        ("spill, (level_out, 0), (0, level_out))", "spill, (0,), (level_out,))", "spilled sums counted one way"),
        (
            "Flow(layer, part.b_source, seen(par[c.B_BITS] * b), (wires.array[t.WEIGHT],))",
            "Flow(layer, part.b_source, par[c.B_BITS] * b, (wires.array[t.WEIGHT],))",
            "a mask saves no reads of weights",
        ),
        (
            "seen(sums * (visits - 1)), (wires.array[t.OUTPUT],)",
            "seen(sums * visits), (wires.array[t.OUTPUT],)",
            "the first sum is read, too",
        ),
        ("seen(every),\n        seen(ceil", "every,\n        seen(ceil", "masked products counted as done"),
        ("-(-k // par[c.WIDE])", "k // par[c.WIDE]", "ragged K is not padded"),
        (
            "a_reads if par[c.FLOW] == c.IS else seen(every)",
            "a_reads if par[c.FLOW] == c.WS else seen(every)",
            "inputs loaded once a tile where weights stay",
        ),
        ("b_reads if par[c.FLOW] == c.WS else seen(every)", "seen(every)", "weights that stay load every cycle"),
        (
            "latency = load + store + busy + work.vector\n    return Timeline",
            "latency = max(load + store, busy + work.vector)\n    return Timeline",
            "single buffers overlap",
        ),
        ("ceil(load + store),", "ceil(max(load, store)),", "the channel has two ways"),
        (
            "par[t.A_FILL] * again_a, (par[t.A_SOURCE],), (level_in,)",
            "par[t.A_FILL], (par[t.A_SOURCE],), (level_in,)",
            "inputs brought once, however often needed",
        ),
        (
            "elements = rows * int(part.problem[c.N])",
            "elements = rows * int(part.problem[c.K])",
            "requantises K columns",
        ),
    ),
    *of(
        "timing/stages",
        ('NORM_PASSES = {"softmax": 3', 'NORM_PASSES = {"softmax": 1', "softmax in one pass"),
        (
            "return -(-operator.elements * NORM_PASSES",
            "return (operator.elements * NORM_PASSES",
            "a partial vector is free",
        ),
        ('"int64": 32}', '"int64": 64}', "indices stored as torch does"),
        (
            "bits[name] = touched[name] * machine.output_bits",
            "bits[name] = touched[name] * 8",
            "results stored in 8 bits",
        ),
    ),
    *of(
        "timing/groups",
        ("rows = shape.batch * shape.m // problems", "rows = shape.m", "one problem of a batch"),
        (
            "problems = 1 if shape.groups == 1 else",
            "problems = 1 if shape.groups <= 2 else",
            "two experts share one weight",
        ),
        ("halo = window.input_rows(1) + window.stride[0] - 1", "halo = window.stride[0] - 1", "no halo"),
    ),
    *of(
        "timing/wiring",
        ("double.append(2 if memory.double_buffered else 1)", "double.append(1)", "double buffers take one's room"),
        (
            "rooms.append(int(memory.bits * share))",
            "rooms.append(int(2 * memory.bits * share))",
            "a memory twice its size",
        ),
        (
            "table[number, 2:] = (level.read_bits, level.write_bits, every)",
            "table[number, 2:] = (level.read_bits, level.read_bits, every)",
            "writes at the reads' width",
        ),
    ),
    *of(
        "timing/tiles",
        (
            "output_room = tile_m * tile_n * max(par[SUM_BITS], par[OUT_BITS])",
            "output_room = tile_m * tile_n * par[OUT_BITS]",
            "room for results, not for sums",
        ),
        ("input_room *= step[DOUBLE_IN]", "input_room *= 1.0", "input tiles need one buffer"),
    ),
    *of(
        "timing/schedule",
        (
            "start = max(max(ready, space), free[table[stage, 0]])",
            "start = max(ready, free[table[stage, 0]])",
            "buffers without end",
        ),
        (
            "start = max(max(ready, space), free[table[stage, 0]])",
            "start = max(ready, space)",
            "a channel for each transfer",
        ),
        ("found[3] += fed - before", "found[3] += ready - before", "negative waits"),
    ),
    *of(
        "timing/planning",
        ("float(moved + wires.idle * made.latency_cycles)", "float(moved)", "edp leaves out what idles"),
        (
            "if row.read_bits and (row.tensor, row.level) not in there:",
            "if (row.tensor, row.level) in there and False:",
            "nothing is checked",
        ),
        (
            'if tensor.source == "input" and name in used and not loaded.get(name):',
            'if tensor.source == "input" and not used:',
            "an input that is never loaded passes",
        ),
    ),
    # cost
    *of(
        "cost/technology",
        (
            "(supply(nm, voltage) / node(nm).reference_v) ** 2",
            "(supply(nm, voltage) / node(nm).reference_v)",
            "energy in proportion to the supply",
        ),
        (
            "return node(to_nm).gate_um2 / node(from_nm).gate_um2",
            "return node(from_nm).gate_um2 / node(to_nm).gate_um2",
            "areas grow with smaller nodes",
        ),
        ("gates * one.gate_um2 / PLACEMENT", "gates * one.gate_um2", "a layout without gaps"),
        (
            "math.exp(LEAKAGE_PER_VOLT * (volt - base))",
            "math.exp(LEAKAGE_PER_VOLT * (base - volt))",
            "leakage falls with the supply",
        ),
        ("/ LEAKAGE_DOUBLING_K)", "/ (2 * LEAKAGE_DOUBLING_K))", "leakage doubles in 60 K"),
        (
            "one.fo4_ps * one.slowness(supply(node_nm, voltage)) / one.slowness(one.reference_v)",
            "one.fo4_ps * one.slowness(one.reference_v) / one.slowness(supply(node_nm, voltage))",
            "slower with more volts",
        ),
        ("one.wire * (supply(node_nm, voltage) / one.reference_v) ** 2", "one.wire", "wires know no supply"),
    ),
    *of(
        "cost/clock_tree",
        (
            "wires_pf * supply(node_nm, voltage) ** 2",
            "0.5 * wires_pf * supply(node_nm, voltage) ** 2",
            "half the clock",
        ),
        ("area_mm2 * TREE_PF_MM2", "area_mm2 * TREE_PF_MM2 * 0.1", "a trunk a tenth as wide"),
    ),
    *of(
        "cost/clocking",
        ("depth_fo4 * (1 + WIRE) + FLIP_FLOP_FO4 + SKEW_FO4", "depth_fo4 * (1 + WIRE) + FLIP_FLOP_FO4", "no skew"),
        ("depth_fo4 * (1 + WIRE)", "depth_fo4", "no wires inside a unit"),
        (
            '(SLOW_CORNER if corner == "slow" else 1.0)',
            '(1.0 if corner == "slow" else SLOW_CORNER)',
            "corners exchanged",
        ),
    ),
    *of(
        "cost/wires",
        ("banks / CROSSBAR_BANKS if banks > 1 else 0.0", "1.0 if banks > 1 else 0.0", "a crossbar of 32 for all"),
        (
            "node_nm, voltage).value / wire_pj_per_bit_mm(CROSSBAR_NODE).value",
            "node_nm).value / wire_pj_per_bit_mm(CROSSBAR_NODE).value",
            "a crossbar knows no supply",
        ),
    ),
    *of(
        "cost/dram",
        ("total((self.standby_mw, self.refresh_mw),", "total((self.standby_mw,),", "no refresh"),
        (
            "return self._all(self.write_burst_pj_per_bit, bits_per_row)",
            "return self._all(self.read_burst_pj_per_bit, bits_per_row)",
            "DRAM writes at the price of reads",
        ),
        ('Quantity(value * devices, "mW"', 'Quantity(value, "mW"', "one device stands by"),
        (
            "interface = streamed - (reading + writing) / 2 - opening / page",
            "interface = streamed - (reading + writing) / 2",
            "rows paid twice",
        ),
    ),
    *of(
        "cost/memory",
        (
            "energy(inner.write_pj, floor.write_pj)",
            "energy(inner.read_pj, floor.read_pj)",
            "SRAM writes priced as reads",
        ),
        ("whole = value * group *", "whole = value *", "the area of one macro for all"),
        ("leak = inner.leakage_mw * group *", "leak = inner.leakage_mw *", "leakage of one macro for all"),
        ("squared = (volt / nominal) ** 2", "squared = 1.0", "SRAM energy knows no supply"),
        (
            "return self.read_pj.scaled(1 / self.port_bits)",
            "return self.read_pj.scaled(1 / 32)",
            "pJ of a 32-bit word",
        ),
    ),
    *of(
        "cost/sram_grid",
        ("FLOP_PJ * energy_factor(45, 1.1, node_nm, voltage)", "FLOP_PJ", "registers cost the same at all nodes"),
        ("read * to.energy,", "read,", "SRAM reads not scaled with the node"),
        ("own.leakage_mw * to.leakage,", "own.leakage_mw,", "SRAM leakage not scaled with the node"),
    ),
    # evaluation
    *of(
        "evaluation/energy",
        (
            'written_bits, "bit written", memory.write_pj_per_bit',
            'written_bits, "bit written", memory.read_pj_per_bit',
            "writes priced as reads",
        ),
        ("bits = read_bits + written_bits", "bits = read_bits", "only reads cross wires"),
        (
            'plan.latency_cycles, "cycle", price',
            'plan.steps[-1].cycles.latency, "cycle", price',
            "leakage of the last step only",
        ),
        (
            "edges = product.array_cycles * pipeline",
            "edges = product.compute_cycles * pipeline",
            "one unit's pipeline",
        ),
    ),
    *of(
        "evaluation/product_events",
        ("rebuilds = product.a_reads / unit.lanes", "rebuilds = product.a_reads", "tables rebuilt for each element"),
        ('("accumulation", flips.sums)', '("accumulation", flips.products)', "sums flip as products do"),
        (
            "product.b_loads * flips.b_element + product.updates",
            "product.a_loads * flips.b_element + product.updates",
            "weights flip as often as inputs",
        ),
        (
            "product.b_loads * flips.b_scale) / unit.block",
            "product.b_loads * flips.b_scale)",
            "a scale for each element",
        ),
        (
            'b = product.b_loads / wide * registers.b_bits if stays == "weight"',
            'b = product.b_loads / wide * registers.b_bits if stays == "input"',
            "stationary weights clocked every cycle",
        ),
        (
            "return a + b + cycles * registers.sum_bits + tables",
            "return a + b + product.updates * registers.sum_bits + tables",
            "sums clocked only when they change",
        ),
    ),
    *of(
        "evaluation/area",
        (
            'a = held.a_bits * (1 + (stays == "input"))',
            'a = held.a_bits * (1 + (stays == "weight"))',
            "the wrong operand has two registers",
        ),
        (
            'if array.overlap != "none" else None',
            'if array.overlap == "none" else None',
            "two registers where nothing overlaps",
        ),
        ('level.component, name, "", 1, "memory"', 'level.component, name, "", 0.5, "memory"', "half a memory"),
        ('pipeline * units, "flip-flop"', 'pipeline, "flip-flop"', "one unit's pipeline"),
        ('machine.vector.lanes, "lane"', '1, "lane"', "one lane"),
        (
            "units, rows = array.units, array.rows * array.count",
            "units, rows = array.units, array.units",
            "a table in every unit",
        ),
    ),
    *of(
        "evaluation/prices",
        ("one.area_um2.scaled(memory.copies), one.leakage_mw", "one.area_um2, one.leakage_mw", "area of one copy"),
        ("one.leakage_mw.scaled(memory.copies)", "one.leakage_mw", "leakage of one copy"),
        (
            "memory.kib / memory.copies, memory.macro_bits",
            "memory.kib, memory.macro_bits",
            "each copy as large as all",
        ),
        ("elif memory.banks > 1:", "elif memory.banks > 2:", "no crossbar for two banks"),
        ("period_ns = 1 / machine.clock_ghz", "period_ns = machine.clock_ghz", "a faster clock leaks longer"),
        ("math.sqrt(one.area_um2.value) * 1e-3", "one.area_um2.value * 1e-3", "wires as long as an area"),
        ("level.write_pj_per_bit.value + wires[name]", "level.write_pj_per_bit.value", "a plan without wires"),
        ("PLACEMENT = 1 / technology.PLACEMENT - 1", "PLACEMENT = 1 / technology.PLACEMENT", "cells counted twice"),
        (
            "energy_factor(from_nm, from_v, to_nm, to_v) * 1e-3",
            "energy_factor(from_nm, from_v, to_nm, to_v)",
            "fJ taken for pJ",
        ),
    ),
    *of(
        "evaluation/pricing",
        (
            "if machine.clock_ghz > highest.value * (1 + 1e-9):",
            "if machine.clock_ghz > 2 * highest.value:",
            "twice the highest clock passes",
        ),
        ('for name in ("array", "vector", "chip")', 'for name in ("array",)', "the vector unit does not leak"),
        (
            "sum(workload.gemms[record].macs for record in records)",
            "sum(gemm.macs for gemm in workload.gemms)",
            "products of the backward pass counted",
        ),
    ),
    *of(
        "evaluation/objectives",
        (
            "lambda one: 2 * one.macs / one.energy_pj",
            "lambda one: one.macs / one.energy_pj",
            "a MAC is one operation",
        ),
        ("one.tokens / one.latency_s", "1 / one.latency_s", "one token a pass"),
        ("(one.dram_read_bits + one.dram_write_bits) * 1e-6", "one.dram_read_bits * 1e-6", "only reads are traffic"),
    ),
    *of(
        "evaluation/records",
        (
            "return self.energy_pj * 1e-12 / self.latency_s",
            "return self.energy_pj * 1e-9 / self.latency_s",
            "pJ taken for nJ",
        ),
        ("+ step.cycles.latency\n", "+ 1\n", "the bound of most steps, not of most cycles"),
    ),
    *of(
        "evaluation/ledger",
        ("round(charge.amount / quantum) * quantum", "charge.amount", "amounts as they come"),
        (
            "joined = weighted((one.price, one.amount / one.price.value if one.price.value else 0.0) for one in members)",
            "joined = members[0].price",
            "errors of the first charge",
        ),
    ),
    *of(
        "evaluation/explanation",
        ("part.value / total if total else 0.0", "part.value / len(parts)", "shares of no total"),
        ("counts[1] += row.written_bits", "counts[1] += row.read_bits", "writes shown as reads"),
    ),
)
