"""What a Liberty file says, in our units; and the file that we ship."""

import re

import pytest

from hwsim.errors import ArgumentError
from hwsim.gates import hwsim45 as source
from hwsim.gates.liberty import DEFAULT_LIBERTY, read_liberty
from hwsim.gates.liberty_text import LibertyError


def test_every_number_of_the_tiny_library(tiny):
    assert (tiny.name, tiny.voltage) == ("tiny", 2.0)
    inv, nand, flip = (tiny.cells[name] for name in ("INV", "NAND2", "FLIP"))
    assert (inv.area_um2, nand.area_um2) == (1.0, 2.5)
    assert inv.pins["A"].capacitance_ff == pytest.approx(1.0, rel=1e-12)  # 0.001 pF
    # the middle of a 2 x 2 table is its last entry; mean of rise 0.001 and fall 0.005, in V²·pF = 1000 fJ
    assert inv.pins["Y"].internal_fj == pytest.approx(3.0, rel=1e-12)
    assert nand.pins["Y"].internal_fj == pytest.approx(10.0, rel=1e-12)
    assert nand.pins["B"].capacitance_ff == pytest.approx(2.0, rel=1e-12)
    assert (inv.leakage_nw, nand.leakage_nw) == pytest.approx((500.0, 500.0), rel=1e-12)  # uW; mean of the states
    assert inv.outputs["Y"].table == 0b01
    assert nand.outputs["Y"].table == 0b0111
    assert (flip.flip_flop.clock, flip.flip_flop.edge, flip.flip_flop.next_state.inputs) == ("CK", 1, ("D",))
    assert flip.outputs["Q"].table == 0b10
    assert flip.outputs["QN"].table == 0b01
    assert flip.pins["CK"].internal_fj == pytest.approx(4.0, rel=1e-12)
    enabled = tiny.cells["FLIPE"].flip_flop
    assert (enabled.clear.table, enabled.preset.table) == (0b01, 0b10)
    assert tiny.cells["HOLD"].latch


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (3, "cell (A) { area : big; }", "cell must have a number as area, got 'big'"),
        (3, 'cell (A) { pin (Y) { function : "A +"; } }', "must be an expression of names"),
        (3, 'cell (A) { ff (IQ, IQN) { next_state : "D"; } }', "ff must have clocked_on, of one pin, and next_state"),
        (3, "cell (A) { area : 1; } } }", "a closing brace must have an opening one"),
        (3, "cell (A) { area 1; }", "a statement must be 'name : value;' or 'name (values) { ... }'"),
        (1, "timing () { { }", "an opening brace must have a closing one"),
    ],
)
def test_errors_name_file_and_line(tmp_path, line, text, message):
    path = tmp_path / "bad.lib"
    path.write_text(f"library (bad) {{\n  nom_voltage : 1;\n  {text}\n}}\n")
    with pytest.raises(LibertyError, match=re.escape(message)) as caught:
        read_liberty(path)
    assert caught.value.where == f"bad.lib:{line}"


def test_a_file_that_is_no_library(tmp_path):
    path = tmp_path / "empty.lib"
    path.write_text("")
    with pytest.raises(LibertyError, match=r"^empty.lib:1: a Liberty file must hold one library group$"):
        read_liberty(path)
    with pytest.raises(ArgumentError, match=r"^liberty: liberty must be a file, got '/nowhere.lib'$"):
        read_liberty("/nowhere.lib")
    path.write_text("library (l) { nom_voltage : 1; }")
    with pytest.raises(LibertyError, match="a library must have cells"):
        read_liberty(path)
    path.write_text("library (l) { cell (A) { area : 1; } }")
    with pytest.raises(LibertyError, match="a library must state nom_voltage or operating_conditions"):
        read_liberty(path)


def test_the_shipped_file_is_what_its_source_writes():
    assert DEFAULT_LIBERTY.read_text() == source.liberty_text()


def test_the_shipped_library_in_gate_equivalents(hwsim45):
    ge = hwsim45.cells["NAND2"].area_um2
    assert ge == pytest.approx(0.798)
    # by hand: (pairs + breaks + 1) / 3 poly pitches
    sizes = {
        "INV": 2,
        "NAND3": 4,
        "NOR4": 5,
        "AND2": 4,
        "AOI21": 4,
        "XOR2": 6,
        "MUX2": 7,
        "HA": 10,
        "FA": 16,
        "DFF": 17,
    }
    for name, pitches in sizes.items():
        assert hwsim45.cells[name].area_um2 / ge == pytest.approx(pitches / 3, rel=1e-3)
    # an inverter: 1/2 x 1.6 fF x 1.1² for its own drain; XOR2: NOR2 (2) + one gate + AOI21 (7/3)
    assert hwsim45.cells["INV"].pins["Y"].internal_fj == pytest.approx(0.968)
    assert hwsim45.cells["XOR2"].pins["Y"].internal_fj == pytest.approx(0.968 * (2 + 1 + 7 / 3), rel=1e-4)


def test_osu018_reads(osu018):
    assert (osu018.name, osu018.voltage, len(osu018.cells)) == ("osu018_stdcells", 1.8, 32)
    nand = osu018.cells["NAND2X1"]
    assert (nand.area_um2, nand.outputs["Y"].table) == (24.0, 0b0111)
    assert osu018.cells["DFFPOSX1"].flip_flop.edge == 1
    assert osu018.cells["DFFNEGX1"].flip_flop.edge == 0
    assert osu018.cells["LATCH"].latch
    assert not osu018.cells["TBUFX1"].outputs  # a tristate has no Boolean function
