"""The store: what was written is read, bit by bit, and what was not written whole does not exist."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from hwsim.errors import ArgumentError, StorageError, TraceError, UnknownName
from hwsim.storage import seal
from hwsim.trace import Gemm, GemmShape, Operand, TraceWriter, export, load_trace
from hwsim.workloads import load_model, prefill


def product(step=0, *, m=3, n=4, k=5, batch=1, phase="forward", role="weight"):
    rng = np.random.default_rng(step)
    a = rng.standard_normal((batch, m, k)).astype(np.float32)
    b = rng.standard_normal((1 if role == "weight" else batch, n, k)).astype(np.float32)
    operands = Operand(a, "activation", batch * m), Operand(b, role, b.shape[0] * n)
    return Gemm(f"layer.{step}", "linear", phase, step, batch, m, n, k, *operands)


def write(path, gemms, **options):
    with TraceWriter(path, {"model": "toy", "seed": 0}, **options) as writer:
        for gemm in gemms:
            writer.append(gemm)
    return load_trace(path)


def assert_equal(one, other):
    assert one.shape == other.shape
    assert one.step == other.step
    for side in ("a", "b"):
        left, right = getattr(one, side), getattr(other, side)
        assert (left.role, left.rows_total) == (right.role, right.rows_total)
        np.testing.assert_array_equal(left.values.view(np.uint32), right.values.view(np.uint32))


def test_reads_what_was_written(tmp_path):
    gemms = [product(0), product(1, batch=2, role="activation"), product(2, m=1, n=1, k=1, phase="wgrad")]
    trace = write(tmp_path / "t", gemms)
    assert len(trace) == 3
    assert trace.complete
    assert trace.torn == ""
    assert trace.name == "toy"
    for found, wanted in zip(trace.gemms(), gemms, strict=True):
        assert_equal(found, wanted)
    assert [gemm.step for gemm in trace.gemms("wgrad")] == [2]
    assert trace.workload.gemms[1] == GemmShape("layer.1", "linear", "forward", 2, 3, 4, 5, "activation")
    assert trace.workload.macs == 3 * 4 * 5 + 2 * 3 * 4 * 5 + 1


def test_special_values_keep_their_bits(tmp_path):
    bits = np.array([0x80000000, 0x7FC00001, 0xFF800000, 0x00000001, 0x7F7FFFFF], np.uint32)
    operand = Operand(bits.view(np.float32).reshape(1, 1, 5), "activation", 1)
    trace = write(tmp_path / "t", [replace(product(m=1), a=operand)])
    np.testing.assert_array_equal(trace[0].a.values.reshape(-1).view(np.uint32), bits)


def test_reading_maps_the_file_and_is_read_only(tmp_path):
    values = write(tmp_path / "t", [product()])[0].a.values
    assert isinstance(values, np.memmap)
    assert values.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_operands_begin_at_multiples_of_64_bytes_and_segments_roll_over(tmp_path):
    trace = write(tmp_path / "t", [product(step) for step in range(6)], segment_bytes=200)
    assert len(list((tmp_path / "t").glob("seg-*.bin"))) > 2
    assert all(entry[side]["offset"] % 64 == 0 for entry in trace.entries for side in ("a", "b"))
    # a takes 60 bytes, b 80: a segment that has reached 200 bytes takes no more, so the fourth operand begins one
    places = [(entry["a"]["segment"], entry["b"]["segment"]) for entry in trace.entries]
    assert places == [(0, 0), (0, 1), (1, 1), (2, 2), (2, 3), (3, 3)]
    for step, found in enumerate(trace.gemms()):
        assert_equal(found, product(step))


def test_a_weight_that_returns_is_stored_once(tmp_path):
    first = product(0)
    trace = write(tmp_path / "t", [first, replace(product(1), b=first.b)])
    assert trace.entries[0]["b"] == trace.entries[1]["b"]
    assert_equal(trace[1], replace(product(1), b=first.b))


def test_equal_bytes_of_another_shape_are_another_operand(tmp_path):
    long, wide = np.zeros((1, 3, 4), np.float32), np.zeros((1, 2, 6), np.float32)
    gemms = [
        replace(product(n=1, k=one.shape[2]), m=one.shape[1], a=Operand(one, "activation", one.shape[1]))
        for one in (long, wide)
    ]
    trace = write(tmp_path / "t", gemms)
    assert [gemm.a.values.shape for gemm in trace.gemms()] == [(1, 3, 4), (1, 2, 6)]


def test_causal_products_are_noted_with_the_graph(tmp_path):
    """Two heads of two tokens: scores and weighted values are causal, the projections are not."""
    graph = prefill(load_model("smollm2-135m"), 2).graph
    causal = [operator.record for operator in graph.operators if operator.gemm and operator.gemm.causal]
    assert len(causal) == 2 * 30
    with TraceWriter(tmp_path / "t", {}) as writer:
        for operator in graph.operators:
            if operator.gemm:
                writer.append(product())
        writer.graph = graph
        writer.add_causal(graph)
    trace = load_trace(tmp_path / "t")
    assert [entry["record"] for entry in trace.entries if trace[entry["record"]].causal] == causal


@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 16), ("float16", 13)])
def test_half_precision_is_stored_in_two_bytes(tmp_path, dtype, bits):
    def rounded(operand):
        word = operand.values.view(np.uint32) >> bits << bits
        return replace(operand, values=word.view(np.float32))

    gemm = replace(product(), a=rounded(product().a), b=rounded(product().b))
    with TraceWriter(tmp_path / "t", {}) as writer:
        writer.append(gemm, dtype=dtype)
        with pytest.raises(ArgumentError, match=f"trace: operand must hold {dtype} values only"):
            writer.append(product(), dtype=dtype)
    trace = load_trace(tmp_path / "t")
    assert (tmp_path / "t" / "seg-00000.bin").stat().st_size < 64 + 2 * 20 + 64
    assert_equal(trace[0], gemm)


def test_the_digest_is_of_the_products_not_of_their_places(tmp_path):
    gemms = [product(0), product(1)]
    one = write(tmp_path / "one", gemms)
    assert write(tmp_path / "two", gemms, segment_bytes=64).digest == one.digest
    assert write(tmp_path / "three", gemms[:1]).digest != one.digest
    last = gemms[1].b.values.copy()
    last[0, -1, -1] = np.nextafter(last[0, -1, -1], 2)
    assert (
        write(tmp_path / "four", [gemms[0], replace(gemms[1], b=replace(gemms[1].b, values=last))]).digest
        != one.digest
    )


def test_a_folder_takes_one_trace(tmp_path):
    write(tmp_path / "t", [product()])
    with pytest.raises(ArgumentError, match=re.escape("trace: folder must hold no trace yet, got")):
        TraceWriter(tmp_path / "t", {})


def test_wrong_shapes_are_refused(tmp_path):
    writer = TraceWriter(tmp_path / "t", {})
    with pytest.raises(ArgumentError, match=re.escape("operands must be [batch, m, 6] and [batch or 1, n, 6]")):
        writer.append(replace(product(), k=6))


@pytest.mark.parametrize("record", [0, 1])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_flipped_bit_is_found_and_named(tmp_path, record, side):
    path = tmp_path / "t"
    trace = write(path, [product(0), product(1)])
    before = load_trace(path)
    before.verify()
    offset, size = trace.entries[record][side]["offset"], {"a": 60, "b": 80}[side]
    with (path / "seg-00000.bin").open("r+b") as file:
        file.seek(offset + 7)
        byte = file.read(1)[0]
        file.seek(offset + 7)
        file.write(bytes([byte ^ 1]))
    damaged = load_trace(path)
    assert_equal(damaged[1 - record], product(1 - record))
    rule = (
        rf"seg-00000\.bin: CRC-32 of record {record}, bytes {offset} to {offset + size}, must be [0-9a-f]{{8}}, got '"
    )
    with pytest.raises(TraceError, match=rule):
        damaged[record]
    for one in (damaged, before):  # also what was whole when it was read before
        with pytest.raises(TraceError, match=rule):
            one.verify()


def test_every_flipped_bit_of_the_index_is_found(tmp_path):
    path = tmp_path / "t"
    write(path, [product(0), product(1)])
    index = path / "seg-00000.jsonl"
    whole = index.read_bytes()
    for place in range(0, len(whole), 3):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(TraceError):
            load_trace(path)
    index.write_bytes(whole[:20] + b"9" + whole[21:])
    with pytest.raises(TraceError, match=r"seg-00000\.jsonl:1: line must match its CRC-32$"):
        load_trace(path)


def test_a_truncated_segment_is_named(tmp_path):
    path = tmp_path / "t"
    write(path, [product(0), product(1)])
    segment = path / "seg-00000.bin"
    data = segment.read_bytes()
    segment.write_bytes(data[:-1])
    assert_equal(load_trace(path)[0], product(0))
    rule = rf"seg-00000\.bin: segment must hold {len(data)} bytes for record 1, got {len(data) - 1}$"
    with pytest.raises(TraceError, match=rule):
        load_trace(path).verify()
    segment.write_bytes(b"")
    with pytest.raises(TraceError, match="segment must be readable"):
        load_trace(path).verify()
    segment.unlink()
    with pytest.raises(TraceError, match="segment must be readable"):
        load_trace(path).verify()


def test_a_finished_trace_that_lost_its_end_is_an_error(tmp_path):
    path = tmp_path / "t"
    write(path, [product(0), product(1)])
    index = path / "seg-00000.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(lines[0])
    with pytest.raises(TraceError, match=r"t: trace must hold 2 products, got 1$"):
        load_trace(path)
    index.write_bytes(lines[1])
    with pytest.raises(TraceError, match=r"seg-00000\.jsonl:1: record must be 0, got 1$"):
        load_trace(path)


def test_what_is_no_trace_is_said_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TraceError, match=r"no/such: folder of a trace must exist$"):
        load_trace("no/such")
    with pytest.raises(UnknownName, match="trace must be one of"):
        load_trace("absent")
    with pytest.raises(TraceError, match=r"folder of a trace must hold manifest\.json$"):
        load_trace(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(TraceError, match=r"manifest\.json: manifest must be JSON"):
        load_trace(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": 99}')
    with pytest.raises(TraceError, match=r"manifest\.json: schema must be one of 1, 2, got 99$"):
        load_trace(tmp_path)


def test_an_error_in_the_block_leaves_an_unfinished_trace(tmp_path):
    wrong = replace(product(1), k=6)
    with pytest.raises(ArgumentError), TraceWriter(tmp_path / "t", {}) as writer:  # noqa: PT012
        writer.append(product(0))
        writer.append(wrong)
    with pytest.warns(RuntimeWarning, match=r"the capture did not come to its end; 1 whole products are read$"):
        trace = load_trace(tmp_path / "t")
    assert not trace.complete
    assert_equal(trace[0], product(0))


def test_a_torn_line_is_skipped_at_every_length(tmp_path):
    path = tmp_path / "t"
    write(path, [product(0), product(1)])
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_bytes(seal(manifest | {"complete": False}))
    index = path / "seg-00000.jsonl"
    first, second = index.read_bytes().splitlines(keepends=True)
    for length in range(1, len(second), 7):
        index.write_bytes(first + second[:length])
        with pytest.warns(RuntimeWarning, match=r"the last line of seg-00000\.jsonl is torn; 1 whole products"):
            trace = load_trace(path)
        assert len(trace) == 1
        assert_equal(trace[0], product(0))


_WRITE_FOR_EVER = """
import sys
sys.path.insert(0, {folder!r})
from test_store import product, TraceWriter
writer = TraceWriter(sys.argv[1], {{}}, segment_bytes=1 << 20)
step = 0
while True:
    writer.append(product(step, m=61, n=67, k=64))
    print(step, flush=True)
    step += 1
"""


@pytest.mark.parametrize("moment", [0.02, 0.11])
def test_kill_9_loses_the_product_in_flight_and_nothing_else(tmp_path, moment):
    path = tmp_path / "t"
    program = _WRITE_FOR_EVER.format(folder=__file__.rpartition("/")[0])
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "0\n"
        time.sleep(moment)
        writer.send_signal(signal.SIGKILL)
        acknowledged = [0, *(int(line) for line in writer.stdout.read().split("\n")[:-1])]
    with pytest.warns(RuntimeWarning, match="whole products are read"):
        trace = load_trace(path)
    assert len(trace) >= len(acknowledged) > 1
    for step, found in enumerate(trace.gemms()):
        assert_equal(found, product(step, m=61, n=67, k=64))


_FILL_THE_DISK = """
import resource, signal, sys
sys.path.insert(0, {folder!r})
from test_store import product, TraceWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
writer = TraceWriter(sys.argv[1], {{}})
for step in range(100):
    writer.append(product(step, m=61, n=67, k=64))
"""


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    program = _FILL_THE_DISK.format(folder=__file__.rpartition("/")[0])
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "t")], capture_output=True, text=True)
    assert re.search(r"StorageError: .*seg-00000\.bin: file must be writable, File too large\n$", ended.stderr), (
        ended.stderr
    )
    with pytest.warns(RuntimeWarning, match="3 whole products are read"):  # each takes 32,768 bytes
        trace = load_trace(tmp_path / "t")
    for step, found in enumerate(trace.gemms()):
        assert_equal(found, product(step, m=61, n=67, k=64))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/t: folder must be writable, Not a directory$"):
        TraceWriter(tmp_path / "file" / "t", {})


def test_export_is_safetensors(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    gemms = [product(0), product(1, batch=2, role="activation")]
    path = export(write(tmp_path / "t", gemms), tmp_path / "t.safetensors")
    tensors = numpy_files.load_file(path)
    assert sorted(tensors) == ["00000.a", "00000.b", "00001.a", "00001.b"]
    np.testing.assert_array_equal(tensors["00001.b"], gemms[1].b.values)
    with pytest.raises(StorageError, match="file must be writable"):
        export(load_trace(tmp_path / "t"), tmp_path / "no" / "t.safetensors")
