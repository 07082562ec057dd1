"""Every kernel is compiled for every target that has its instruction, and must become that instruction."""

from __future__ import annotations

import dataclasses

import pytest

from hwsim.errors import ArgumentError, MissingExtra, UnknownName
from hwsim.verify.checks import kernels
from hwsim.verify.cuda import KERNELS, TARGETS, build, for_target, get


@pytest.fixture(scope="module", autouse=True)
def compiler():
    try:
        build.nvrtc()
        build.disassembler()
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_becomes_its_instruction(target):
    found = build.survey(for_target(target), target)
    assert [str(error) for error in found.values() if error] == []
    assert len(found) == {"sm_80": 10, "sm_89": 18, "sm_90a": 27, "sm_100a": 63, "sm_120a": 56}[target]


def test_the_kernels_alone_are_the_kernels_together():
    for name, target in (("mma.fp16", "sm_80"), ("wgmma.e4m3.fp16", "sm_90a"), ("tcgen05.mxfp4", "sm_100a")):
        assert build.opcodes(get(name), target) == get(name).targets[target]


def test_the_catalogue_covers_what_it_should():
    """Targets and the instruction families that each must have, by the heads of the opcodes."""
    heads = {
        target: {name.split(".")[0] for kernel in for_target(target) for name in kernel.targets[target]}
        for target in TARGETS
    }
    everywhere = {"HMMA", "IMMA", "IDP", "MUFU", "F2FP"}
    assert heads["sm_80"] == everywhere
    assert heads["sm_89"] == everywhere | {"QMMA"}
    assert heads["sm_90a"] == everywhere | {"HGMMA", "QGMMA", "FADD", "HADD2"}
    assert heads["sm_100a"] == everywhere | {"UTCHMMA", "UTCQMMA", "UTCOMMA", "FADD", "HADD2"}
    assert heads["sm_120a"] == everywhere | {"QMMA", "OMMA"}
    assert len({kernel.name for kernel in KERNELS}) == len(KERNELS)


def test_fp8_that_became_two_fp16_steps_does_not_pass_as_fp8():
    kernel = dataclasses.replace(get("mma.e4m3"), targets={"sm_90a": ("QMMA.16832.F32.E4M3.E4M3",)})
    with pytest.raises(build.BuildError) as caught:
        build.opcodes(kernel, "sm_90a")
    assert str(caught.value) == ("mma.e4m3.sm_90a: must compile to QMMA.16832.F32.E4M3.E4M3, got '2 HMMA.16816.F32'")


def test_a_conversion_in_software_does_not_pass_as_hardware():
    """cvt.rna.tf32 is integer code on every part: none of its opcodes is a conversion."""
    body = 'asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(d) : "f"(__uint_as_float(x)))'
    kernel = dataclasses.replace(get("cvt.fp16"), defines=(("BODY", body),), targets={"sm_80": ("F2FP.TF32",)})
    with pytest.raises(build.BuildError) as caught:
        build.opcodes(kernel, "sm_80")
    assert str(caught.value) == "cvt.fp16.sm_80: must compile to F2FP.TF32, got 'nothing of the kind'"


def test_an_instruction_that_a_target_lacks_is_refused_with_the_compilers_words():
    with pytest.raises(build.BuildError) as caught:
        build.cubin(get("mma.nvfp4"), "sm_100a")
    alone = dataclasses.replace(get("mma.nvfp4"), targets={"sm_100a": ("OMMA",)})
    found = build.survey([get("mma.fp16"), alone, get("dp4a")], "sm_100a")
    assert [error is None for error in found.values()] == [True, False, True]
    assert "Instruction 'mma with block scale' not supported on .target 'sm_100a'" in str(caught.value)


def test_a_wrong_kernel_is_a_row_that_differs(monkeypatch):
    wrong = dataclasses.replace(get("dp4a"), targets=dict.fromkeys(TARGETS, ("IDP.2A",)))
    monkeypatch.setattr(kernels, "for_target", lambda target: (wrong,))
    rows = list(kernels.check())
    assert [row.differences for row in rows] == [1] * 5
    assert rows[0].note == "dp4a.sm_80: must compile to IDP.2A, got 'IDP.4A.S8.S8'"


def test_without_a_compiler_the_row_says_so(monkeypatch):
    def missing():
        raise MissingExtra("NVRTC with cuda-bindings", install=build.INSTALL)

    monkeypatch.setattr(build, "nvrtc_version", missing)
    (row,) = kernels.check()
    assert (row.verdict, row.note) == (
        "not checked",
        "NVRTC with cuda-bindings is needed, install it with: pip install hwsim[cuda]",
    )


def test_unknown_names_are_told():
    with pytest.raises(UnknownName) as caught:
        get("mma.fp61")
    assert str(caught.value).startswith("verify.cuda: kernel must be one of mma.fp16")
    with pytest.raises(ArgumentError) as caught:
        for_target("sm_91")
    assert str(caught.value) == (
        "verify.cuda: target must be one of sm_80, sm_89, sm_90a, sm_100a, sm_120a, got 'sm_91'"
    )


def test_machine_code_is_shelved_and_taken_from_the_shelf(tmp_path, monkeypatch):
    """Of one target here: what a machine without a compiler reads is what was compiled, with its opcodes."""
    monkeypatch.setattr("hwsim.verify.cuda.kernels.TARGETS", ("sm_80",))
    made = build.cubin(get("mma.tf32"), "sm_80")
    assert build.shelve(tmp_path) == 10
    build.cubin.cache_clear()
    monkeypatch.setenv("HWSIM_CUBINS", str(tmp_path))
    monkeypatch.setattr(build, "nvrtc", None)  # nothing is compiled from here on
    assert build.compiler() == f"NVRTC {build.nvrtc_version()}"
    assert build.cubin(get("mma.tf32"), "sm_80") == made
    assert build.opcodes(get("mma.tf32"), "sm_80") == ("HMMA.1688.F32.TF32",)
    other = dataclasses.replace(get("mma.tf32"), targets={"sm_80": ("QMMA",)})
    with pytest.raises(build.BuildError) as caught:
        build.opcodes(other, "sm_80")
    assert str(caught.value) == "mma.tf32.sm_80: shelved code must be of QMMA, got 'HMMA.1688.F32.TF32'"
    with pytest.raises(build.BuildError) as caught:
        build.cubin(get("wgmma.fp16"), "sm_90a")
    assert str(caught.value) == f"wgmma.fp16.sm_90a: the shelf must hold the kernel, got '{tmp_path}'"
    monkeypatch.setenv("HWSIM_CUBINS", str(tmp_path / "none"))
    with pytest.raises(
        build.BuildError, match="HWSIM_CUBINS must be a folder that hwsim verify --compile has written"
    ):
        build.compiler()
    build.cubin.cache_clear()
