"""The study of recurrent layers: the planner's cuts by exhaustive search, its small grid from end to end."""

import csv
import itertools
import xml.dom.minidom

import pytest

from hwsim import studies
from hwsim.report.studies import draw
from hwsim.studies.recurrent import Cell, planned, problem


def exhaustive(cell):
    """All cuts of a cell with 47 times their cycles, by divisors: constraints and cost written out anew."""
    rows, inner, batch = cell.gates * cell.hidden, cell.hidden, -(-cell.batch // 8)
    cut = lambda n, most: [(a, n // a) for a in range(1, most + 1) if n % a == 0]  # noqa: E731
    found = []
    for (bg, g), (bh, h), (bb, tb) in itertools.product(cut(rows // 32, 108), cut(inner // 16, 108), cut(batch, 108)):
        if bg * bh * bb > 108 or tb > 4 or 2 * 32 * g * 16 * h + 4 * 32 * g > 165_000:
            continue
        for (wg, tg), (wh, th) in itertools.product(cut(g, 32), cut(h, 32)):
            if tg <= 4 and th <= 4 and 32 * wg * wh <= 1024:
                found.append(47 * 4 * g * h * tb + 2 * 8 * tb * 16 * h + 8 * 8 * tb * 32 * g)
    return found


@pytest.mark.parametrize("cell", [Cell(4, 256, 8), Cell(4, 512, 16), Cell(4, 768, 8), Cell(4, 64, 8)])
def test_the_best_cut_is_the_best_of_all(cell):
    first, spent, best = planned(cell)
    every = exhaustive(cell)
    assert best.optimal
    assert best.cost == min(every)
    assert spent in every
    _, rules, _ = problem(cell)
    for plan in (first, best):
        assert all(rule.open({name: (one, one) for name, one in plan.values.items()}) for rule in rules)


def test_a_matrix_that_does_not_fit_has_no_cut():
    """4 x 2048 x 2048 weights of 2 bytes are 33.6 MB; 108 times 165,000 bytes are 17.8 MB."""
    assert planned(Cell(4, 2048, 8)) == (None, 0, None)
    # 64 sequences are two blocks of four turns; the 54 blocks left for each, 32 as powers of two, hold 5.3 of 8.4 MB
    assert planned(Cell(4, 1024, 64)) == (None, 0, None)
    assert exhaustive(Cell(4, 1024, 64)) == []


def test_the_small_grid_from_end_to_end(tmp_path):
    folder = studies.run("recurrent", tmp_path, quick=True).parent
    with (folder / "tiling.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["N"]): row for row in csv.DictReader(file)}
    assert (rows[1024]["tiled"], rows[1024]["row by row"]) == ("10240", "523776")
    assert rows[1024]["16 rows on chip"] == str(1024 * (6 + 1))
    with (folder / "traffic.csv").open(encoding="utf-8", newline="") as file:
        one = next(row for row in csv.DictReader(file) if row["N"] == "1024")
    # 12 layers of 12 x 1024^2 weights of 2 bytes, 1,024 times; 523,776 rows of 4,096 bytes
    assert float(one["weights GB, read again"]) == pytest.approx(12 * 12 * 1024**2 * 2 * 1024 / 1e9, rel=1e-5)
    assert float(one["rows GB"]) == pytest.approx(12 * 523_776 * 4096 / 1e9, rel=1e-5)
    assert "Made by `hwsim study recurrent`." in (folder / "study.md").read_text()
    xml.dom.minidom.parse(str(draw(folder)))
