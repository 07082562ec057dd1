"""Integer units: plain-integer reference, element-by-element kernel and fast product agree in every bit."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.datapaths.integer import reference_dot
from hwsim.datapaths.operands import integer_range
from hwsim.errors import ArgumentError, UnknownName


def hard_operand(rng, rows, k, bits, signed):
    """Rows of random values, extremes, all-least, alternating extremes, zeros and sorted (order-dependent) values."""
    least, greatest = integer_range(bits, signed)
    x = rng.integers(least, greatest + 1, (rows, k))
    x[0], x[1] = least, greatest
    x[2] = np.where(np.arange(k) % 2, least, greatest)
    x[3] = 0
    x[4] = np.sort(x[4])
    x[5] = np.sort(x[5])[::-1]
    return x


def codes(values, bits):
    return (values & (1 << bits) - 1).astype(np.uint8 if bits <= 8 else np.uint16)


WIDTHS = [(2, 2, 2), (4, 4, 10), (8, 8, 16), (8, 8, 20), (8, 4, 31), (8, 8, 32), (16, 16, 31), (16, 16, 33)]
WIDTHS += [(12, 5, 24), (16, 16, 40), (16, 16, 63), (8, 8, 63)]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("widths", WIDTHS)
def test_equals_plain_integers(rng, widths, signed, overflow):
    a_bits, b_bits, acc_bits = widths
    unit = datapaths.integer(a_bits, b_bits, acc_bits, signed, overflow)
    a, b = hard_operand(rng, 8, 37, a_bits, signed), hard_operand(rng, 7, 37, b_bits, signed)
    least, greatest = integer_range(acc_bits, signed)
    c = rng.integers(least, greatest, (8, 7), endpoint=True)
    c[0, 0], c[1, 1], c[2, 2] = least, greatest, 0
    for start in (None, c):
        expected = [
            [reference_dot(row.tolist(), col.tolist(), int(c[i, j]) if start is c else 0, acc_bits, signed, overflow)
             for j, col in enumerate(b)]
            for i, row in enumerate(a)
        ]  # fmt: skip
        for x, w in [(a, b), (codes(a, a_bits), codes(b, b_bits))]:
            product = unit.matmul(x, w, start)
            assert product.dtype == unit.result_dtype
            assert product.tolist() == expected
            assert unit.dot(x[:, None], w[None], start).tolist() == expected


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("acc_bits", [12, 20, 24, 32, 48])
def test_fast_product_equals_dot_across_tiles(rng, acc_bits, overflow):
    unit = datapaths.integer(8, 8, acc_bits, overflow=overflow)
    a, b = hard_operand(rng, 9, 1500, 8, True), hard_operand(rng, 259, 1500, 8, True)
    np.testing.assert_array_equal(unit.matmul(a, b), unit.dot(a[:, None], b[None]))


def test_some_rows_clamp_and_others_cannot(rng):
    unit = datapaths.integer(8, 8, 20, overflow="saturate")
    a = rng.integers(-3, 4, (64, 2000))
    a[5], a[40] = 127, rng.integers(-128, 128, 2000)
    b = rng.integers(-128, 128, (31, 2000))
    product = unit.matmul(a, b)
    np.testing.assert_array_equal(product, unit.dot(a[:, None], b[None]))
    assert product.max() < (a @ b.T).max()  # the bound did act


def test_saturation_depends_on_order():
    # 4-bit accumulator [-8, 7]: 6 + 6 clamps to 7, 7 - 6 = 1; the other order passes 0 and ends at 6
    unit = datapaths.integer(4, 4, 4, overflow="saturate")
    a = np.array([[3, 3, -3], [3, -3, 3]])
    b = np.array([[2, 2, 2]])
    assert unit.matmul(a, b).tolist() == [[1], [6]]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("widths", [(8, 8, 16, 16), (4, 4, 10, 7), (16, 16, 63, 64), (8, 8, 31, 2), (8, 4, 20, 37)])
def test_trees_equal_plain_integers(rng, widths, signed, overflow):
    a_bits, b_bits, acc_bits, group = widths
    unit = datapaths.integer(a_bits, b_bits, acc_bits, signed, overflow, group)
    a, b = hard_operand(rng, 8, 101, a_bits, signed), hard_operand(rng, 7, 101, b_bits, signed)
    least, greatest = integer_range(acc_bits, signed)
    c = rng.integers(least, greatest, (8, 7), endpoint=True)
    c[0, 0], c[1, 1] = least, greatest
    expected = [
        [reference_dot(row.tolist(), col.tolist(), int(c[i, j]), acc_bits, signed, overflow, group)
         for j, col in enumerate(b)]
        for i, row in enumerate(a)
    ]  # fmt: skip
    assert unit.matmul(a, b, c).tolist() == expected
    assert unit.dot(a[:, None], b[None], c).tolist() == expected


def test_a_tree_that_wraps_has_the_bits_of_a_unit_of_one_product(rng):
    a, b = hard_operand(rng, 9, 300, 8, True), hard_operand(rng, 8, 300, 8, True)
    one, tree = datapaths.integer(8, 8, 16), datapaths.integer(8, 8, 16, group=16)
    np.testing.assert_array_equal(tree.matmul(a, b), one.matmul(a, b))
    assert (tree.lanes, tree.cycles_per_step(), one.lanes) == (16, 1.0, 1)


def test_a_tree_saturates_once_for_all_of_its_products():
    # 4 bits, [-8, 7]; addends 6, 6, -6, -6. One by one 6, 7, 1, -5; in pairs 12 -> 7, 7 - 12 -> -5; all four: 0.
    # Addends 6, 6, -6 in pairs: 12 -> 7, then the pair's only product, 1; all at once: 6
    a, b = np.array([[3, 3, -3, -3]]), np.array([[2, 2, 2, 2]])
    for group, four, three in ((1, -5, 1), (2, -5, 1), (4, 0, 6)):
        unit = datapaths.integer(4, 4, 4, overflow="saturate", group=group)
        assert unit.matmul(a, b).tolist() == [[four]]
        assert unit.matmul(a[:, :3], b[:, :3]).tolist() == [[three]]
        assert unit.addends(a, b).sum() == 0
    assert datapaths.integer(4, 4, 4, group=2).addends(a, b).tolist() == [[[12, -12]]]


def test_a_tree_is_named_and_one_product_is_not():
    tree, one = datapaths.integer(8, 4, 24, group=16), datapaths.integer(8, 4, 24, group=1)
    assert (tree.name, tree.label) == ("int8x4.g16.acc24.wrap", "16 products, acc24")
    assert (one.name, one.label) == ("int8x4.acc24.wrap", "acc24")
    assert tree.spec()["group"] == 16
    assert "group" not in one.spec()
    assert (tree.sum_bits, one.sum_bits) == (16, 12)


def test_wraps_across_the_modulus():
    # 65 x (-128 x -128) = 1064960 = 2^20 + 16384; an accumulator of 20 bits keeps 16384
    a = np.full((1, 65), 0x80, np.uint8)
    assert datapaths.integer(8, 8, 20).matmul(a, a).tolist() == [[16384]]
    assert datapaths.integer(8, 8, 20, overflow="saturate").matmul(a, a).tolist() == [[(1 << 19) - 1]]
    # the largest chunk of an all-least product is 1024: the sum 2^24 itself is still exact in float32
    a = np.full((1, 5000), -128, np.int8)
    assert datapaths.integer(8, 8, 32).matmul(a, a).tolist() == [[5000 << 14]]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_empty_sides(overflow):
    unit = datapaths.integer(8, 8, 20, overflow=overflow)
    c = np.array([[(1 << 19) - 1, -(1 << 19)]])
    assert unit.matmul(np.zeros((1, 0), np.uint8), np.zeros((2, 0), np.uint8), c).tolist() == c.tolist()
    assert unit.matmul(np.zeros((1, 0), np.uint8), np.zeros((2, 0), np.uint8)).tolist() == [[0, 0]]
    assert unit.dot(np.zeros((3, 0), np.uint8), np.zeros((3, 0), np.uint8)).tolist() == [0, 0, 0]
    assert unit.matmul(np.zeros((0, 4), np.uint8), np.zeros((2, 4), np.uint8)).shape == (0, 2)
    assert unit.matmul(np.zeros((3, 4), np.uint8), np.zeros((0, 4), np.uint8)).shape == (3, 0)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_bits_do_not_depend_on_threads(rng, monkeypatch, threads):
    monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
    unit = datapaths.integer(8, 8, 18, overflow="saturate")
    a, b = rng.integers(-128, 128, (200, 64)), rng.integers(-128, 128, (70, 64))
    np.testing.assert_array_equal(unit.matmul(a, b), unit.dot(a[:, None], b[None]))


def test_spec_round_trip():
    spec = {"family": "integer", "a_bits": 8, "b_bits": 4, "acc_bits": 20, "signed": True, "overflow": "saturate"}
    unit = datapaths.from_spec(spec)
    assert unit == datapaths.integer(8, 4, 20, overflow="saturate")
    assert unit.spec() == spec
    assert unit.name == "int8x4.acc20.saturate"
    assert (unit.a_format, unit.b_format, unit.accumulator_bits, unit.block) == ("int8", "int4", 20, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datapaths.integer(1, 8, 20), "integer: a_bits must lie in 2..16, got 1"),
        (lambda: datapaths.integer(8, 17, 20), "integer: b_bits must lie in 2..16, got 17"),
        (lambda: datapaths.integer(8, 8, 24, group=65), "integer: group must lie in 1..64, got 65"),
        (lambda: datapaths.integer(8, 8, 24, group=0), "integer: group must lie in 1..64, got 0"),
        (lambda: datapaths.integer(8, 8, 65), "integer: acc_bits must lie in 2..64, got 65"),
        (lambda: datapaths.integer(8, 8, 64, False), "integer: acc_bits must lie in 2..63, got 64"),
        (
            lambda: datapaths.integer(8, 8, 20, overflow="clip"),
            "integer: overflow must be 'wrap' or 'saturate', got 'clip'",
        ),
        (
            lambda: datapaths.integer(4, 4, 20).matmul(np.full((1, 1), 16, np.uint8), np.zeros((1, 1), np.uint8)),
            "matmul.a: codes of 4 bits must be below 16, got 16",
        ),
        (
            lambda: datapaths.integer(8, 8, 20).matmul(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)),
            "matmul.a: an operand of 8 bits must be uint8 codes or signed integer values, got 'float32'",
        ),
        (
            lambda: datapaths.integer(8, 8, 20).matmul(np.full((1, 1), 128), np.zeros((1, 1), np.uint8)),
            "matmul.a: values of 8 bits must lie in [-128, 127], got 128",
        ),
        (
            lambda: datapaths.integer(8, 8, 20).matmul(np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8)),
            "matmul: matmul needs a [M, K] and b [N, K] with one K, got ((1, 2), (1, 3))",
        ),
        (
            lambda: datapaths.integer(8, 8, 4).dot(np.zeros(2, np.uint8), np.zeros(2, np.uint8), np.array(8)),
            "dot.c: c must fit the 4-bit accumulator, [-8, 7], got 8",
        ),
        (
            lambda: datapaths.integer(8, 8, 4).dot(np.zeros(2, np.uint8), np.zeros(2, np.uint8), np.array([3, -9])),
            "dot.c: c must fit the 4-bit accumulator, [-8, 7], got -9",
        ),
        (
            lambda: datapaths.integer(8, 8, 4, False).dot(np.zeros(2, np.uint8), np.zeros(2, np.uint8), np.array(-1)),
            "dot.c: c must fit the 4-bit accumulator, [0, 15], got -1",
        ),
        (
            lambda: datapaths.from_spec({"family": "integer", "a_bits": 8, "b_bits": 8}),
            "datapath: integer missing a required argument: 'acc_bits', got {'a_bits': 8, 'b_bits': 8}",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_unknown_family_is_named():
    with pytest.raises(UnknownName, match=r"^datapath\.family: family must be one of integer, got 'intger'$"):
        datapaths.from_spec({"family": "intger"})
