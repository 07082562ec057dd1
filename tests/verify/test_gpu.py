"""The device of this machine, where there is one: every instruction, its recording, and discovery of its units."""

from __future__ import annotations

import pytest

from hwsim.errors import MissingExtra
from hwsim.verify import record
from hwsim.verify.campaign import discoveries
from hwsim.verify.checks import device, portability
from hwsim.verify.cuda.device import DeviceError, Gpu
from hwsim.verify.subject import Subject

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu():
    try:
        return Gpu()
    except (DeviceError, MissingExtra) as missing:
        pytest.skip(str(missing))


def test_every_instruction_gives_the_emulators_bits_and_so_does_its_recording(gpu, tmp_path):
    rows = [row for row in device.check(Subject(), 5000, 0, tmp_path, gpu) if row.oracle == gpu.name]
    assert [(row.operation, row.note) for row in rows if row.differences] == []
    assert [(row.operation, row.note) for row in rows if row.differences is None] == []
    assert [row.operation for row in record.replay(tmp_path, Subject()) if row.differences] == []


def test_every_unit_is_discovered(gpu):
    found = list(discoveries(gpu=gpu))
    assert [one.text() for one in found if not one.found] == []


def test_the_emulators_kernels_run_on_it(gpu):
    try:
        portability.device_name()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    rows = list(portability.check(Subject(), 200))
    assert [row.differences for row in rows] == [0] * len(portability.UNITS), [row.note for row in rows]
