"""Which networks emulation reaches wholly, forward and backward, as a table.

``python -m hwsim.studies.coverage [FILE]`` writes ``docs/coverage.md``, or a file of one's own, in two minutes;
networks of the transformers library are left out where it is not installed, and the page says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwsim.errors import MissingExtra
from hwsim.storage import write_whole

OWN = ("gpt", "ngpt", "bitnet", "cnn", "vit", "lstm", "mamba")

_TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
         "vocab_size": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
_GROUPED = {"num_key_value_heads": 2}

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "Llama (grouped queries)": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **_TEXT, **_GROUPED},
    "SmolLM2": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **_TEXT, "hidden_size": 96,
                "num_attention_heads": 3, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "GPT-2": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 2, "n_head": 4,
              "vocab_size": 128, "bos_token_id": 1, "eos_token_id": 2},
    "Mixtral": {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4, **_TEXT,
                **_GROUPED},
    "Qwen2-MoE": {"model_type": "qwen2_moe", "architectures": ["Qwen2MoeForCausalLM"], "num_experts": 4,
                  "num_experts_per_tok": 2, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64,
                  **_TEXT, **_GROUPED},
    "Qwen3-MoE": {"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"], "num_experts": 4,
                  "num_experts_per_tok": 2, "moe_intermediate_size": 64, "head_dim": 16, **_TEXT, **_GROUPED},
    "BERT": {"model_type": "bert", "architectures": ["BertForMaskedLM"], **_TEXT},
    "MiniLM": {"model_type": "bert", "architectures": ["BertModel"], **_TEXT},
    "T5": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 64, "d_ff": 128,
           "d_kv": 16, "num_layers": 2, "num_heads": 4, "vocab_size": 128, "decoder_start_token_id": 0},
    "Whisper": {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": 64,
                "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
                "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 128,
                "max_source_positions": 64, "max_target_positions": 64, "num_mel_bins": 16, "pad_token_id": 0,
                "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
    "ResNet": {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "embedding_size": 16,
               "hidden_sizes": [16, 32], "depths": [1, 1], "num_labels": 10},
    "MobileNet-V2": {"model_type": "mobilenet_v2", "architectures": ["MobileNetV2ForImageClassification"],
                     "image_size": 32, "depth_multiplier": 0.25, "num_labels": 10},
    "Swin": {"model_type": "swin", "architectures": ["SwinForImageClassification"], "image_size": 64,
             "embed_dim": 32, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4, "num_labels": 10},
}  # fmt: skip
"""Small configurations of known architectures; everything that is not named is the library's default."""


def audits() -> Iterator[Any]:
    """An `hwsim.nn.auditing.Audit` of each network.

    Raises:
        MissingExtra: torch is not installed; or transformers, after all networks that need it not.
    """
    from hwsim.nn import auditing, hugging_face

    for name in OWN:
        yield auditing.audit(f"models/{name}.py", *auditing.own(name))
    yield auditing.audit("torch.nn.TransformerEncoder", *auditing.transformer_encoder())
    for name, values in CONFIGURATIONS.items():
        model = hugging_face.from_config(values)
        yield auditing.audit(name, model, hugging_face.example(model))


def page(found: list[Any], versions: str, missing: str = "") -> str:
    """The table in Markdown."""
    lines = [
        "# What emulation reaches",
        "",
        f"Written by `python -m hwsim.studies.coverage` ({versions}): one forward and one backward of each network "
        'with `emulate(model, "nvfp4")`, attention and experts as the library has them by default, random weights '
        "where they are not of `models/`. Multiply-accumulates as `torch.utils.flop_counter` counts them on the "
        "plain network, and as the handle of `emulate` counts them (`hwsim/nn/auditing.py` says where torch is "
        "helped to see).",
        "",
        "| network | forward: torch | seen | emulated | backward: torch | seen | emulated | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        numbers = [
            f"{value:,}" for phase in (0, 1) for value in (one.counted[phase], one.seen[phase], one.emulated[phase])
        ]
        share = sum(one.emulated) / max(sum(one.counted), 1)
        verdict = "100 %" if one.complete else f"**{100 * share:.2f} %**"
        lines.append(f"| {one.name} | {' | '.join(numbers)} | {verdict} |")
    for one in found:
        for (layer, reason), macs in one.left.items():
            lines += ["", f"{one.name}: {macs:,} of `{layer}` left, {reason}."]
    if missing:
        lines += ["", f"Left out: {missing}."]
    return "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Write the page."""
    from importlib.metadata import PackageNotFoundError, version

    found: list[Any] = []
    missing, versions = "", [f"torch {version('torch').partition('+')[0]}"]
    try:
        found.extend(audits())
        versions.append(f"transformers {version('transformers')}")
    except (MissingExtra, PackageNotFoundError) as error:
        missing = f"the networks of transformers, which is not installed ({error})"
    write_whole(path, page(found, ", ".join(versions), missing).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/coverage.md"))
