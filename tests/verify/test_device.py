"""The host's side of every kernel, driven by a fake driver: packing, layouts, launch, results, recordings, errors."""

from __future__ import annotations

import numpy as np
import pytest
from fake_driver import FakeDriver

from hwsim import datapaths, quant
from hwsim.errors import MissingExtra
from hwsim.verify import record
from hwsim.verify.campaign import discoveries, kernels_to_try
from hwsim.verify.checks import device, integers
from hwsim.verify.cuda import ARCH, TARGETS, build, for_target, get
from hwsim.verify.cuda.device import DeviceError, Gpu, bindings
from hwsim.verify.cuda.unit import DeviceUnit
from hwsim.verify.operands import KINDS, draw, words
from hwsim.verify.subject import Subject

PRODUCTS = [
    (target, kernel.name)
    for target in TARGETS
    for kernel in for_target(target)
    if kernel.product is not None and kernel.product.out != "int32"
]


@pytest.fixture(autouse=True)
def names_for_cubins(monkeypatch):
    """The fake driver runs a kernel by its name, so nothing is compiled."""
    monkeypatch.setattr(build, "cubin", lambda kernel, target: kernel.name.encode())
    monkeypatch.setattr(build, "opcodes", lambda kernel, target: kernel.targets[target])
    monkeypatch.setattr(build, "compiler", lambda: "NVRTC 13.5")


@pytest.mark.parametrize(("target", "name"), PRODUCTS)
def test_what_goes_to_the_device_comes_back_as_its_dot_products(target, name):
    """20 dot products are two or three tiles of 8 or 16, the last one ragged."""
    kernel = get(name)
    unit = DeviceUnit(Gpu(driver=FakeDriver(target)), kernel)
    model = datapaths.tensor_core(ARCH[target], kernel.units[target], kernel.product.out)
    for kind in ("random", "cancelling"):
        batch = draw(model, np.random.default_rng(1), 20, kernel.product.k, kind)
        np.testing.assert_array_equal(batch.run(unit), batch.run(model))


@pytest.mark.parametrize("name", ["mma.int8", "mma.int8.sat"])
def test_integer_products_come_back(name):
    kernel = get(name)
    a, b, c = integers.draw(np.random.default_rng(0), 20)
    unit = datapaths.integer(8, 8, 32, overflow="saturate" if kernel.product.saturate else "wrap")
    got = DeviceUnit(Gpu(driver=FakeDriver("sm_80")), kernel).dot(a, b, c)
    np.testing.assert_array_equal(got, unit.dot(a, b, c))


def test_matmul_is_every_pair():
    kernel = get("wgmma.e4m3")
    unit = DeviceUnit(Gpu(driver=FakeDriver("sm_90a")), kernel)
    model = datapaths.tensor_core("hopper", "e4m3")
    batch = draw(model, np.random.default_rng(2), 6, 32, "narrow")
    c = np.ones((6, 4), np.float32)
    np.testing.assert_array_equal(
        words(unit.matmul(batch.a, batch.b[:4], c)), words(model.matmul(batch.a, batch.b[:4], c))
    )


def test_a_launch_takes_one_block_a_tile_and_leaves_no_memory():
    driver = FakeDriver("sm_120a")
    unit = DeviceUnit(Gpu(driver=driver), get("mma.nvfp4"))
    unit.dot(np.zeros((17, 64), np.uint8), np.zeros((17, 64), np.uint8), None, *(np.zeros((17, 4), np.uint8),) * 2)
    assert driver.launches == [("mma.nvfp4", 3, 32)]
    assert driver.memory == {}


def test_a_refused_call_is_named_and_leaves_no_memory():
    driver = FakeDriver()
    unit = DeviceUnit(Gpu(driver=driver), get("wgmma.fp16"))
    driver.fail = "cuLaunchKernel"
    with pytest.raises(DeviceError) as caught:
        unit.dot(np.zeros((1, 16), np.uint16), np.zeros((1, 16), np.uint16))
    assert str(caught.value) == "cuLaunchKernel must succeed, got '719'"
    assert driver.memory == {}


def test_the_device_says_what_it_is():
    gpu = Gpu(driver=FakeDriver("sm_89"))
    assert (gpu.name, gpu.target, gpu.known, gpu.driver_version) == ("Fake GPU", "sm_89", True, "13.1")
    assert Gpu(driver=FakeDriver(capability=(8, 6))).target == "sm_80"
    new = Gpu(driver=FakeDriver(capability=(10, 3)))
    assert (new.target, new.known) == ("sm_103a", False)


def test_no_device_is_an_error_that_says_so():
    with pytest.raises(DeviceError) as caught:
        Gpu(driver=FakeDriver(count=0))
    assert str(caught.value) == "device 0 must exist, got '0 CUDA devices'"

    class NoLibrary:
        def cuInit(self, flags):  # noqa: N802
            raise RuntimeError("Failure finding libcuda.so")

    with pytest.raises(DeviceError) as caught:
        Gpu(driver=NoLibrary())
    assert str(caught.value) == "a CUDA driver must be installed, got 'no libcuda'"


def test_missing_bindings_name_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingExtra) as caught:
        bindings()
    assert str(caught.value) == "cuda-bindings is needed, install it with: pip install hwsim[cuda]"


@pytest.mark.parametrize("target", TARGETS)
def test_the_check_of_a_device_finds_its_emulator_and_lists_the_others(target, tmp_path):
    rows = list(device.check(Subject(), 12, 0, tmp_path, Gpu(driver=FakeDriver(target))))
    here = [row for row in rows if row.oracle == "Fake GPU"]
    assert [row.operation for row in here] == [kernel.name for kernel in for_target(target)]
    assert {row.differences for row in here} == {0}
    others = [row for row in rows if row.oracle == "silicon"]
    assert all(row.differences is None and row.note == "this machine has Fake GPU" for row in others)
    assert {row.operation.split(" on ")[1].split(" ")[0] for row in others} == set(TARGETS) - {target}
    replayed = list(record.replay(tmp_path, Subject()))
    integers_too = sum(kernel.name.startswith("mma.int8") for kernel in for_target(target))
    assert len(replayed) == len(for_target(target)) - integers_too
    assert {row.differences for row in replayed} == {0}
    products = [name for name_target, name in PRODUCTS if name_target == target]
    assert sum(row.cases == 12 * len(KINDS) for row in replayed) == len(products)
    table = np.load(tmp_path / f"{target}.reciprocals.npy")
    assert quant.catalog.flashinfer_fast(table).reciprocals is table


def test_a_device_that_errs_is_seen_and_its_smallest_case_told(monkeypatch):
    """A Hopper whose FP8 unit keeps 25 bits: the difference is one pair and a small c."""
    gpu = Gpu(driver=FakeDriver("sm_90a"))
    true = DeviceUnit.dot
    wide = datapaths.tensor_core("blackwell", "e4m3")
    monkeypatch.setattr(DeviceUnit, "dot", lambda self, *given: wide.dot(*given))
    row = device._product(Subject(), gpu, get("wgmma.e4m3"), 50, 0, ("QGMMA",), None)
    assert row.differences > 100
    assert row.note.startswith("QGMMA; hopper.e4m3: [")
    monkeypatch.setattr(DeviceUnit, "dot", true)
    assert device._product(Subject(), gpu, get("wgmma.e4m3"), 50, 0, ("QGMMA",), None).differences == 0


def test_a_part_without_a_model_is_sent_to_discovery():
    rows = list(device.check(Subject(), 1, gpu=Gpu(driver=FakeDriver(capability=(10, 3)))))
    assert rows[0].operation == "all instructions of sm_103a"
    assert rows[0].note == "no model yet: hwsim verify --discover"


def test_discovery_runs_on_a_device(monkeypatch):
    gpu = Gpu(driver=FakeDriver("sm_89"))
    names = [kernel.name for kernel in kernels_to_try(gpu)]
    assert names == [name for target, name in PRODUCTS if target == "sm_89"]
    monkeypatch.setattr("hwsim.verify.campaign.kernels_to_try", lambda gpu: [get("mma.tf32"), get("mma.e4m3")])
    found = list(discoveries(gpu=gpu))
    assert [f.found for f in found] == [True, True]
    assert [(f.parameters.group, f.parameters.fraction_bits) for f in found] == [(4, 24), (16, 13)]
    assert found[0].unit == "Fake GPU: mma.tf32"
