"""The catalogue beside published totals: every parameter, product, and element of the cache."""

from __future__ import annotations

import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.workloads import decode, distinct_experts, load_model, names, prefill
from hwsim.workloads.config import from_hugging_face
from hwsim.workloads.sizes import parameters, sizes

TOTALS = {  # products a token in layers and in the head, parameters, elements of the cache a token
    "gpt2": (84_934_656, 38_597_376, 124_439_808, 18_432),
    "gpt2-m": (301_989_888, 51_463_168, 354_823_168, 49_152),
    "gpt2-l": (707_788_800, 64_328_960, 774_030_080, 92_160),
    "gpt2-xl": (1_474_560_000, 80_411_200, 1_557_611_200, 153_600),
    "smollm2-135m": (106_168_320, 28_311_552, 134_515_008, 11_520),
    "bitnet-2b4t": (2_084_044_800, 328_335_360, 2_412_820_480, 38_400),
    "llama3.2-1b": (973_078_528, 262_668_288, 1_235_814_400, 16_384),
    "llama2-7b": (6_476_005_376, 131_072_000, 6_738_415_616, 262_144),
    "llama3-8b": (6_979_321_856, 525_336_576, 8_030_261_248, 65_536),
    "mistral-7b": (6_979_321_856, 131_072_000, 7_241_732_096, 65_536),
    "llama3-70b": (68_451_041_280, 1_050_673_152, 70_553_706_496, 163_840),
    "llama2-70b": (68_451_041_280, 262_144_000, 68_976_648_192, 163_840),
    "qwen2.5-0.5b": (357_826_560, 136_134_656, 494_032_768, 6_144),
    "qwen2.5-1.5b": (1_310_195_712, 233_373_696, 1_543_714_304, 14_336),
    "qwen2.5-7b": (6_525_288_448, 544_997_376, 7_615_616_512, 28_672),
    "qwen3-4b": (3_633_315_840, 388_956_160, 4_022_468_096, 73_728),
    "qwen3-8b": (6_945_767_424, 622_329_856, 8_190_735_360, 73_728),
    "qwen3-32b": (31_205_621_760, 777_912_320, 32_762_123_264, 131_072),
    "mixtral-8x7b": (12_748_587_008 - 131_072_000, 131_072_000, 46_702_792_704, 65_536),
    "qwen3-30b-a3b": (3_041_656_832 - 311_164_928, 311_164_928, 30_532_122_624, 49_152),
    "deepseek-v3": (36_624_596_992 - 926_679_040, 926_679_040, 671_026_419_200, 35_136),
    "mamba2-2.7b": (2_571_632_640, 128_737_280, 2_702_599_680, 0),
    "nemotron-h-8b": (7_025_459_200, 536_870_912, 8_100_852_736, 8_192),
}


@pytest.mark.parametrize("name", TOTALS)
def test_published_totals(name: str) -> None:
    one = sizes(load_model(name))
    assert (one.layer_macs, one.head_macs, one.parameters, one.kv_elements) == TOTALS[name]


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("gpt2", ("0.247", "0.124", "0.069", "0.094")),
        ("smollm2-135m", ("0.269", "0.134", "0.076", "0.078")),
        ("bitnet-2b4t", ("4.825", "2.412", "1.357", "1.073")),
        ("llama3-8b", ("15.01", "7.505", "4.221", "2.447")),
        ("llama3-70b", ("139.0", "69.50", "39.1", "15.79")),
    ],
)
def test_bytes_of_the_matrices(name: str, gigabytes: tuple[str, ...]) -> None:
    """At 16, 8, 4.5 and 1.6 bits; the last keeps the head at 16."""
    one = sizes(load_model(name))
    found = [one.weight_bytes(bits) for bits in (16, 8, 4.5)] + [one.weight_bytes(1.6, 16)]
    for value, known in zip(found, gigabytes, strict=True):
        digits = len(known.partition(".")[2])
        assert f"{value / 1e9:.{digits}f}" == known


def test_bytes_of_experts_and_caches() -> None:
    """Mixtral 93.4 GB and Qwen3-30B-A3B 61.1 GB of all parameters at 16 bits; a row of DeepSeek-V3 70,272 B."""
    assert sizes(load_model("mixtral-8x7b")).parameters * 2 / 1e9 == pytest.approx(93.4, abs=0.05)
    assert sizes(load_model("qwen3-30b-a3b")).parameters * 2 / 1e9 == pytest.approx(61.1, abs=0.05)
    assert sizes(load_model("deepseek-v3")).cache_bytes(1, 16) == 70_272
    state = sizes(load_model("mamba2-2.7b")).state_elements
    assert state - 64 * (2 * 2560 + 256) * 4 == 64 * 655_360  # that of the convolution comes on top


def test_weights_of_a_layer() -> None:
    """Elements of the matrices of one block, as published configurations multiply out."""
    for name, layer, elements in (
        ("llama3-70b", "layers.0.", 855_638_016),
        ("deepseek-v3", "layers.0.attention.", 187_105_280),
        ("mamba2-2.7b", "layers.0.", 40_181_760),
        ("nemotron-h-8b", "layers.1.", 176_160_768),
    ):
        graph = decode(load_model(name), 8).graph
        assert graph is not None
        held = [t.elements for t in graph.tensors if t.source == "weight" and t.name.startswith(layer)
                and len(t.shape) == 2 and "conv" not in t.name]  # fmt: skip
        assert sum(held) == elements, name


def test_pairs_of_a_token_of_context() -> None:
    """DeepSeek-V3 absorbed: 128 (512 + 64) products for a score and 128 x 512 for a value, each layer."""
    assert sizes(load_model("deepseek-v3")).pair_macs == 61 * (73_728 + 65_536)
    prompt = prefill(load_model("deepseek-v3"), 10)  # expanded to heads of 128 + 64 and 128
    assert sum(gemm.macs for gemm in prompt.gemms if gemm.op == "attention") == 61 * 100 * 40_960
    two, three = (decode(load_model("deepseek-v3"), context).macs for context in (100, 101))
    assert three - two == 61 * (73_728 + 65_536)
    assert sizes(load_model("llama3-8b")).pair_macs == 2 * 32 * 32 * 128


def test_absorbed_attention_costs_what_the_expansion_costs() -> None:
    """Its two products over the heads are the 16,777,216 weights of the expansion."""
    work = decode(load_model("deepseek-v3"), 100)
    assert sum(
        g.macs for g in work.gemms if g.layer in ("layers.0.attention.absorb", "layers.0.attention.value")
    ) == (2 * 8_388_608)
    assert parameters(work) == 671_026_419_200


@pytest.mark.parametrize("name", ["llama3-8b", "gpt2", "qwen3-4b", "bitnet-2b4t"])
def test_products_of_a_prompt(name: str) -> None:
    """S tokens in all layers, one in the head, S^2 pairs (the masked ones too)."""
    model, one = load_model(name), sizes(load_model(name))
    work = prefill(model, 256, batch=3)
    assert work.macs == 3 * (256 * one.layer_macs + one.head_macs + 256**2 * one.pair_macs)
    chunk = prefill(model, 64, cached=192)
    assert chunk.macs == 64 * one.layer_macs + one.head_macs + 64 * 256 * one.pair_macs
    assert {gemm.causal for gemm in work.gemms if gemm.op == "attention"} == {True}
    assert {gemm.causal for gemm in chunk.gemms if gemm.op == "attention"} == {False}


def test_products_of_a_step_that_checks_proposals() -> None:
    model, one = load_model("llama3-8b"), sizes(load_model("llama3-8b"))
    work = decode(model, 1000, batch=2, tokens=4)
    assert work.macs == 2 * 4 * (one.layer_macs + one.head_macs + 1000 * one.pair_macs)


def test_state_spaces_as_products() -> None:
    """Mamba-2 2.7B in chunks of 256: 2,654,208 products a token and layer beside its projections."""
    model = load_model("mamba2-2.7b")
    work = prefill(model, 1024)
    one = sizes(model)
    assert work.macs - 1024 * one.layer_macs - one.head_macs == 1024 * 64 * 2_654_208


@pytest.mark.parametrize(
    ("experts", "chosen", "tokens", "touched"),
    [(8, 2, 1, 2), (8, 2, 4, 5.47), (8, 2, 16, 7.92), (128, 8, 8, 51.6), (128, 8, 32, 111.8), (256, 8, 64, 222),
     (256, 8, 256, 256)],
)  # fmt: skip
def test_distinct_experts(experts: int, chosen: int, tokens: int, touched: float) -> None:
    assert distinct_experts(experts, chosen, tokens) == pytest.approx(touched, rel=2e-3)


def test_a_batch_reads_the_experts_that_it_touches() -> None:
    """Qwen3-30B-A3B at batch 32 touches 112 of 128, each with 3 of 256 visits."""
    graph = decode(load_model("qwen3-30b-a3b"), 100, batch=32).graph
    assert graph is not None
    up = next(one for one in graph.operators if one.layer == "layers.0.experts.up" and one.gemm)
    assert up.gemm is not None
    assert (up.gemm.batch, up.gemm.m, up.gemm.groups) == (112, 3, 112)
    assert up.inputs[1].elements == 112 * 2 * 768 * 2048


def test_states_are_kept_for_each_sequence() -> None:
    """Mamba-2 130M: 24 layers of 24 heads x 64 x 128, and four columns of 1,792 channels before the convolution."""
    found = sizes(load_model("mamba2-130m"))
    assert found.state_elements == 24 * (24 * 64 * 128 + 4 * 1792)
    one, three = (found.memory_bytes(batch, 100, 16, 16) for batch in (1, 3))
    assert three - one == 2 * found.state_elements * 4


def test_a_step_of_one_token_reads_two_of_eight_experts_beside_the_rest() -> None:
    """Mixtral 8x7B without experts: projections of 4,096 to 6,144 and 4,096, routers of 8, and the head."""
    found = sizes(load_model("mixtral-8x7b"))
    assert found.visited == 2 / 8
    assert found.read_elements == 32 * (4096 * 6144 + 4096 * 4096 + 8 * 4096) + 32000 * 4096


def test_a_window_bounds_the_cache() -> None:
    model = load_model("mistral-7b")
    short, long = decode(model, 4096), decode(model, 9000)
    assert short.macs == long.macs
    assert decode(model, 4095).macs < short.macs


@pytest.mark.parametrize("name", sorted(TOTALS))
def test_a_graph_is_one_run(name: str) -> None:
    """Every tensor is written before it is read, no access is larger than its tensor."""
    for work in (decode(load_model(name), 64, 2), prefill(load_model(name), 32, 2)):
        graph = work.graph
        assert graph is not None
        tensors = graph.by_name
        known = {tensor.name for tensor in graph.tensors if tensor.source != "computed"}
        for operator in graph.operators:
            for access in operator.inputs:
                assert access.tensor in known
                assert access.elements <= tensors[access.tensor].elements
            if operator.gemm is not None:
                shape = operator.gemm
                assert tensors[operator.output].elements == shape.batch * shape.m * shape.n
            known.add(operator.output)
        assert [one.record for one in graph.operators if one.gemm] == list(range(len(work.gemms)))


def test_a_config_of_hugging_face_is_the_catalogue_s() -> None:
    """Fields of the published config.json of Qwen3-30B-A3B and of Llama 3 8B."""
    qwen = from_hugging_face(
        {"model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
         "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "num_experts": 128,
         "num_experts_per_tok": 8, "moe_intermediate_size": 768, "intermediate_size": 6144,
         "tie_word_embeddings": False, "sliding_window": None, "use_sliding_window": False}, "q",
    )  # fmt: skip
    assert sizes(qwen) == sizes(load_model("qwen3-30b-a3b"))
    llama = from_hugging_face(
        {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "vocab_size": 128256, "intermediate_size": 14336, "attention_bias": False}, "l",
    )  # fmt: skip
    assert sizes(llama) == sizes(load_model("llama3-8b"))
    with pytest.raises(UnknownName, match="model_type must be one of"):
        from_hugging_face({"model_type": "t5"}, "t")
    with pytest.raises(ArgumentError, match="lacks a key, got 'vocab_size'"):
        from_hugging_face({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2,
                           "intermediate_size": 8, "num_hidden_layers": 1}, "l")  # fmt: skip


def test_files_are_read_strictly(tmp_path) -> None:
    assert set(TOTALS) <= set(names())
    with pytest.raises(UnknownName, match="model must be one of llama3-70b"):
        load_model("llama3-71b")
    text = (load_model.__globals__["DATA"] / "llama3-8b.toml").read_text()
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert load_model(file) == load_model("llama3-8b").__class__(
        **{name: getattr(load_model("llama3-8b"), name) for name in load_model("llama3-8b").__slots__}
        | {"name": "mine"}
    )
    file.write_text(text + "\nheads_of_state = 3\n")
    with pytest.raises(UnknownName, match="key must be one of"):
        load_model(file)
    file.write_text(text.replace("width = 4096", 'width = "4096"'))
    with pytest.raises(ArgumentError, match=r"mine\.toml\.width: must be a int, got '4096'"):
        load_model(file)
    file.write_text(text.replace("layers = 32", 'layers = 32\npattern = "M"'))
    with pytest.raises(ArgumentError, match="pattern must name 32 layers, got 1"):
        load_model(file)
    with pytest.raises(ArgumentError, match="must have 1 <= logits <= tokens <= context and batch >= 1"):
        decode(load_model("gpt2"), 0)
