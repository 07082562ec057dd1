"""Coefficients from circuits: synthesise a sweep, simulate a trace in gates, fit, and say how wrong the fit is.

    hwsim calibrate TRACE --out FOLDER [--liberty FILE] [--node-nm 45]

writes ``<library>.csv`` (zero delay), ``<library>-unit.csv`` (unit delay, with glitches) and ``calibration.md``. The
CSV is what `hwsim.cost.load_coefficients` reads. Every coefficient carries the 95th percentile of its family's errors
on designs or layers that the fit did not see, or on those that it saw where the family is too small to hold any out.

Zero delay is the package's default: a whole tensor core without pipeline registers, simulated with one unit of delay
a gate, glitches ten times over, which no built unit does, and an 8-bit multiplier at zero delay is nearer to the
published 0.2 pJ at 45 nm than with glitches.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwsim.cost import fitted
from hwsim.cost.coefficients import Coefficients, load_coefficients
from hwsim.cost.designs import Design
from hwsim.cost.fit import Fit, Point, fit
from hwsim.cost.gates import flip_flop
from hwsim.datapaths import unit_family
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.evaluation.calibration.arithmetics import arithmetics
from hwsim.evaluation.calibration.designs import sweep, whole_units
from hwsim.evaluation.calibration.records import Calibration
from hwsim.evaluation.calibration.report import report_text
from hwsim.evaluation.calibration.samples import Sample, measure
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.simulator import Delay
from hwsim.gates.synthesis import library_of, module_area_um2, synth, synth_all
from hwsim.rtl.tools import yosys_version
from hwsim.storage import owned, write_whole
from hwsim.trace import Gemm, load_trace

SILENT: Callable[[str], None] = lambda line: None  # noqa: E731

DELAYS: Mapping[Delay, str] = {"zero": "", "unit": "-unit"}
"""Delay models, and what they add to the name of a table."""

UNITS = {"area": "um2", "energy": "fJ"}


def calibrate(
    gemms: Iterable[Gemm],
    trace: str,
    liberty: str | Path = DEFAULT_LIBERTY,
    node_nm: int = 45,
    progress: Callable[[str], None] = SILENT,
    families: Sequence[type[Datapath]] | None = None,
) -> list[Calibration]:
    """Fit areas to the sweep of designs and energies to all units on `gemms`, in each delay model.

    Circuits come first, several Yosys side by side; they are kept, so that an interrupted run starts after them.

    Args:
        gemms: forward products of a trace; one in three layers is held out.
        trace: its name, for the record.
        liberty: the library.
        node_nm: its technology node.
        progress: called with a line for every step.
        families: units to fit alone; all of the catalogue by default.

    Raises:
        MissingExtra: Yosys is not installed. ToolError: it refused a circuit. MissingView: a family states nothing
            to calibrate on.
    """
    library = library_of(str(Path(liberty).resolve()))
    register = flip_flop(library)
    designs = list(sweep(families=families))
    synth_all(
        _modules(designs, families), liberty, lambda done, total, name: progress(f"circuit {done} of {total}: {name}")
    )
    area = fit_areas(designs, liberty)
    numerics = arithmetics(families)
    samples = tuple(measure(gemms, liberty=liberty, numerics=numerics, progress=progress))
    return [
        Calibration(
            library=library.name,
            liberty=Path(liberty).name,
            tool=yosys_version(),
            delay=delay,
            node_nm=node_nm,
            voltage=library.voltage,
            trace=trace,
            compared=frozenset(design.family for design in designs if design.compared),
            area=area,
            energy=fit_energies(samples, delay),
            flipflop=(register.cell, register.area_um2, register.clock_fj, register.data_fj),
            pann_fj=pann_energies(samples, delay),
            samples=samples,
        )
        for delay in DELAYS
    ]


def _modules(
    designs: Iterable[Design], families: Sequence[type[Datapath]] | None = None
) -> Iterator[tuple[str, str]]:
    """Everything that a calibration synthesises: texts and top modules."""
    yield from ((design.verilog, design.name) for design in designs)
    for one in arithmetics(families):
        yield from ((circuit.verilog, circuit.top) for circuit in one.datapath.gates.circuits().values())
    yield from ((unit.verilog, unit.top) for unit, _ in whole_units(families))


def fit_areas(designs: Iterable[Design], liberty: str | Path = DEFAULT_LIBERTY) -> dict[str, Fit]:
    """Area fits by family; circuits come from the cache where they were synthesised before."""
    register = flip_flop(library_of(str(Path(liberty).resolve()))).area_um2
    points: dict[str, list[Point]] = {}
    wholes: dict[str, None] = {}
    for design in designs:
        area = module_area_um2(design.verilog, design.name, liberty)
        points.setdefault(design.family, []).append(design.point(area, register))
        if design.whole:
            wholes[design.family] = None
    # a family of one design has that design's area: nothing could be held out
    alone = {family: [replace(found[0], held_out=False)] for family, found in points.items() if len(found) == 1}
    fits = {family: fit(found) for family, found in (points | alone).items()}
    # the best fit of a whole unit has negative terms; what its parts take is read from one that has none
    parts = {f"{family}{fitted.SHARES}": fit(points[family], positive=True) for family in wholes}
    return fits | parts


def fit_energies(samples: Iterable[Sample], delay: Delay = "zero") -> dict[str, Fit]:
    """Energy fits by family, no coefficient below zero."""
    points: dict[str, list[Point]] = {}
    for sample in samples:
        for family, point in sample.points(delay):
            points.setdefault(family, []).append(point)
    return {family: fit(found, positive=True) for family, found in points.items()}


def pann_energies(samples: Iterable[Sample], delay: Delay = "zero") -> dict[str, float]:
    """fJ of a flip in PANN's formulas, flip-flops left out, by signed integer unit on uniform operands in ``os``
    order."""
    found = {}
    for sample in samples:
        unit, element = sample.numerics.datapath, sample.numerics.activation.element
        if (sample.layer, sample.dataflow, element) == ("uniform", "os", unit.a_format) and unit.price.defines_flip:
            flips = unit.price.width_flips()
            logic = flips.products + flips.sums - unit.price.registers.uniform_flips
            found[unit.name] = sample.update_fj[delay] / logic
    return found


def unit_errors(held: Coefficients, liberty: str | Path = DEFAULT_LIBERTY) -> dict[str, float]:
    """Relative errors of composed areas of whole units, registers included, none of which a fit has seen."""
    register = flip_flop(library_of(str(Path(liberty).resolve()))).area_um2
    errors = {}
    for unit, datapath in whole_units():
        report = synth(unit, liberty)
        own, shared = datapath.price.blocks(held)
        logic = sum(block.area.value for block in (*own, *shared))
        errors[unit.name] = (logic + report.result.flip_flops * register) / report.area_um2 - 1
    return errors


def csv_text(made: Calibration) -> str:
    """The file that `hwsim.cost.load_coefficients` reads."""
    out = io.StringIO()
    out.write(
        f"# Coefficients fitted to circuits of hwsim.rtl, synthesised without timing constraint or wire load, and\n"
        f"# to gates on operands of {made.trace}. relative_error: 95th percentile on held-out designs or layers.\n"
        f"# Made by: hwsim calibrate TRACE --out FOLDER (see reports/calibration.md).\n"
        f"#: library = {made.library} ({made.liberty}), {made.voltage:g} V\n"
        f"#: tool = {made.tool}, script of hwsim.rtl.tools\n"
        f"#: delay_model = {made.delay}\n"
        f"#: node_nm = {made.node_nm}\n"
        f"#: voltage = {made.voltage:g}\n"
        f"#: fidelity = fitted\n"
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "value", "unit", "relative_error", "source"])
    for kind, fits in (("area", made.area), ("energy", made.energy)):
        for family, one in fits.items():
            for feature, value in one.coefficients.items():
                writer.writerow(
                    [
                        f"{family}.{kind}.{feature}",
                        f"{value:.6g}",
                        UNITS[kind],
                        f"{_error(one):.3f}",
                        _source(one, kind),
                    ]
                )
    cell, area, clock, data = made.flipflop
    own = f"cell {cell} of the library"
    writer.writerow(["flipflop.area", f"{area:.6g}", "um2", 0.0, own])
    writer.writerow(["flipflop.energy.clock", f"{clock:.6g}", "fJ/bit", 0.0, f"{own}: both edges of its clock pin"])
    writer.writerow(["flipflop.energy.data", f"{data:.6g}", "fJ/bit", 0.0, f"{own}: data pin and output"])
    if made.pann_fj:
        mean, spread = _geometric(made.pann_fj.values())
        source = f"geometric mean over {len(made.pann_fj)} MACs on uniform operands"
        writer.writerow(["pann.energy_per_flip", f"{mean:.6g}", "fJ/bit", f"{spread:.3f}", source])
    return out.getvalue()


def _error(one: Fit) -> float:
    """A single design is what it is; its library and tool are in the head."""
    return one.p95_error if len(one.fitted) + len(one.held_out) > 1 else 0.0


def _source(one: Fit, kind: str) -> str:
    what = {"area": "designs", "energy": "layers on units"}[kind]
    if not one.held_out:
        return f"fit of {len(one.fitted)} {what}; none held out"
    return f"fit of {len(one.fitted)} {what}; {len(one.held_out)} held out: median error {one.median_error:.1%}"


def _geometric(values: Iterable[float]) -> tuple[float, float]:
    """Geometric mean, and the largest relative distance from it."""
    found = list(values)
    if not found:
        raise ArgumentError("calibration must hold an integer unit on uniform operands", where="calibrate")
    mean = math.exp(sum(map(math.log, found)) / len(found))
    return mean, max(abs(value / mean - 1) for value in found)


def write(
    trace: Path,
    out: Path,
    liberty: Path = DEFAULT_LIBERTY,
    node_nm: int = 45,
    progress: Callable[[str], None] = SILENT,
    unit: str | None = None,
    force: bool = False,
) -> Path:
    """Calibrate on a trace in both delay models, and write the two tables and the report into `out`.

    Args:
        trace: folder of a trace with forward products.
        out: folder, made where it is missing.
        liberty: the library; its stem names the tables.
        node_nm: its technology node.
        progress: called with a line for every step.
        unit: a family of the catalogue, or ``path/to/file.py:Class`` of a user's unit, to fit alone; its coefficients
            and those of the shared blocks are then in the tables, and nothing else.

        force: also write into a folder that holds something else.

    Returns:
        The report's path.

    Raises:
        ArgumentError: the folder holds something else. MissingExtra: Yosys is not installed. ToolError: it refused a
            circuit.
    """
    recorded = load_trace(trace)
    gemms = list(recorded.gemms("forward"))
    families = None if unit is None else [unit_family(unit)]
    with owned(out, "calibration", force=force) as folder:
        made = calibrate(gemms, recorded.name, liberty, node_nm, progress, families)
        for one in made:
            write_whole(folder / f"{liberty.stem}{DELAYS[one.delay]}.csv", csv_text(one))
        # a family alone lacks the blocks that its whole units share with others
        errors = {} if families else unit_errors(load_coefficients(folder / f"{liberty.stem}.csv"), liberty)
        return write_whole(folder / "calibration.md", report_text(made, errors))
