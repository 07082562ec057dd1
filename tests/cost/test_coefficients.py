"""The shipped coefficients are the fits that they claim to be, of the points that were measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from hwsim.cost import load_coefficients
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.parts import Parts
from hwsim.datapaths import integer, tensor_core, ternary_lut
from hwsim.datapaths.pricing import compose
from hwsim.datapaths.ternary.verilog import ternary_core
from hwsim.errors import ArgumentError, UnknownName

# Array multipliers on Nangate 45 nm, Yosys 0.23: area in um2, zero-delay energy in fJ with uniform operands.
WIDTHS = [2, 3, 4, 5, 6, 7, 8]
MEASURED = {
    "multiplier.signed.area": [8.2, 31.9, 70, 118, 183, 261, 348],
    "multiplier.unsigned.area": [6.4, 29.0, 68, 117, 180, 255, 343],
    "multiplier.signed.energy": [14, 53, 116, 195, 298, 435, 584],
    "multiplier.unsigned.energy": [10, 43, 100, 182, 286, 412, 560],
}
HELD = load_coefficients("nangate45")


def fit(values: ArrayLike, *columns: ArrayLike) -> tuple[list[float], float]:
    """Least squares of relative residuals, and the largest of them."""
    target = np.asarray(values, float)
    matrix = np.stack([np.asarray(column, float) for column in columns], 1)
    found = np.linalg.lstsq(matrix / target[:, None], np.ones(len(target)), rcond=None)[0]
    return list(found), float(np.abs(matrix @ found / target - 1).max())


@pytest.mark.parametrize("name", MEASURED)
def test_multipliers(name: str) -> None:
    (square, linear), worst = fit(MEASURED[name], [b * b for b in WIDTHS], WIDTHS)
    assert HELD.value(f"{name}.square") == pytest.approx(square, abs=6e-4)
    assert HELD.value(f"{name}.linear") == pytest.approx(linear, abs=6e-4)
    assert worst <= HELD[f"{name}.square"].relative_error + 5e-4


def test_accumulator_energy() -> None:
    """Flips at the input and in the register, and energy, of 4 and 8-bit products, signed and unsigned."""
    (entering, summed), worst = fit([270, 302, 82, 181], [15.7, 15.8, 3.37, 7.45], [3.65, 7.3, 3.65, 7.8])
    assert HELD.value("accumulator.energy.per_input_flip") == pytest.approx(entering, abs=6e-4)
    assert HELD.value("accumulator.energy.per_sum_flip") == pytest.approx(summed, abs=6e-4)
    assert worst <= 0.0065


def test_accumulator_area() -> None:
    """The two measured adders, and the signed one of 16 bits: 190 um2."""
    parts = Parts(HELD)
    assert parts.accumulator(32, 8, False).value == pytest.approx(110)
    assert parts.accumulator(32, 16, False).value == pytest.approx(134)
    assert parts.accumulator(32, 16, True).value == pytest.approx(190, rel=0.03)


def test_fetch_of_a_lookup_unit() -> None:
    """Multiplexers with negation of 4 x 9, 13 x 10 and 40 x 11 bits."""
    found, worst = fit([80.9, 167.6, 568], [36, 130, 440], [9, 10, 11])
    assert [HELD.value("select.area.per_entry_bit"), HELD.value("select.area.per_bit")] == pytest.approx(
        found, abs=6e-4
    )
    assert worst <= 0.1


def test_energy_density() -> None:
    blocks = [
        (584, 348), (560, 343), (2870, 1931), (1070, 717), (56, 32.2), (122, 77.7), (116, 70.2), (116, 69.4),
        (136, 80.1), (128, 93.6),
    ]  # fmt: skip
    densities = [energy / area for energy, area in blocks]
    shipped = HELD["logic.energy_density"]
    assert np.mean(densities) == pytest.approx(shipped.value, abs=0.01)
    assert max(densities) <= shipped.high
    assert min(densities) >= shipped.value * (1 - shipped.relative_error)


def test_energy_of_a_flip_in_pann_units() -> None:
    """Multiplier plus accumulator, over the formula without its flip-flops."""
    macs = {(2, 214, 24), (4, 116 + 270, 36), (8, 584 + 302, 72), (2, 39, 10), (4, 182, 24), (8, 741, 64)}
    each = [energy / (flips - bits) for bits, energy, flips in macs]
    shipped = HELD["pann.energy_per_flip"]
    assert np.exp(np.mean(np.log(each))) == pytest.approx(shipped.value, abs=0.05)
    assert max(each) <= shipped.high
    assert min(each) >= shipped.value * (1 - shipped.relative_error)


def test_measured_units_are_met() -> None:
    """What was synthesized as a whole: a 16-wide dot, an 8-bit multiplier, the table adders of 4 activations."""
    products = compose(tensor_core("blackwell", "nvfp4"), HELD).components[0]
    assert products.area.value == 4 * 1931
    assert compose(integer(8, 8, 32), HELD).components[0].area.value == pytest.approx(348, rel=0.013)
    unit = compose(ternary_lut(4), HELD)
    assert unit.shared[0].area.value == pytest.approx(1557, rel=0.001)
    tables = next(port for port in ternary_core(4, readers=1).registers if port.name == "tables")
    assert ternary_lut(4).price.registers.table_bits == tables.width == 40 * 10
    assert unit.components[0].area.value == pytest.approx(568, rel=0.1)


def test_adders_of_a_table() -> None:
    """n - µ additions are enough: 10, 36, 116, 358."""
    bit = HELD.value("table_adder.area.per_bit")
    for group, adders in {3: 10, 4: 36, 5: 116, 6: 358}.items():
        assert compose(ternary_lut(group), HELD).shared[0].area.value == pytest.approx(adders * (7 + group) * bit)


def test_every_number_has_a_source_and_an_error() -> None:
    assert (HELD.node_nm, HELD.voltage, HELD.delay_model, HELD.fidelity) == (45, 1.1, "zero", "composed")
    for name, quantity in HELD.entries.items():
        assert quantity.source, name
        assert 0 <= quantity.relative_error < 1, name


def test_nothing_has_a_default() -> None:
    with pytest.raises(
        UnknownName, match=r"^coefficients nangate45: coefficient must be one of .*got 'multiplier.tiny'$"
    ):
        HELD["multiplier.tiny"]
    with pytest.raises(
        ArgumentError, match=r"^datapath.price: a unit must have the view 'price' to be used here, got 'cdna3.fp16'"
    ):
        compose(tensor_core("cdna3", "fp16"), HELD)


def test_a_set_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("#: library = L\n#: tool = T\nname,value,unit,relative_error,source\n")
    with pytest.raises(
        ArgumentError, match="coefficients must state library, tool, delay_model, node_nm and voltage"
    ):
        load_coefficients(path)
    head = (
        "#: library = L\n#: tool = T\n#: delay_model = unit\n#: node_nm = 7\n#: voltage = 0.7\n#: fidelity = fitted\n"
    )
    path.write_text(head + "name,value,unit,relative_error,source\nflipflop.area,0.3,um2,0.1,mine\n")
    load_coefficients.cache_clear()
    mine = load_coefficients(path)
    assert mine == Coefficients("mine", "L", "T", "unit", 7, 0.7, "fitted", {})
    assert mine.value("flipflop.area") == 0.3
    path.write_text(head + "name,value,unit,relative_error,source\nflipflop.area,0.3\n")
    load_coefficients.cache_clear()
    with pytest.raises(ArgumentError, match="every row must have the columns of the head"):
        load_coefficients(path)
