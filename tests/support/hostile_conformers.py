"""Conformer configs and tokenizer files that make no sense or are not supported: each a name and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from support.nemo_conformer_files import (
    PIECES,
    conformer_bytes,
    field,
    piece,
    small_conformer,
    subword_bytes,
    subword_config,
    tokenizer_model,
    varint,
    vocabulary_file,
)
from support.nemo_files import changed_config

Recipe = Callable[[], bytes]
MODULES = "nemo.collections.asr.modules"

CONFORMER_CHANGES: dict[str, list[Any]] = {
    "_target_": [f"{MODULES}.ConformerEncoderAdapter", f"{MODULES}.ConvASREncoder", f"{MODULES}.SqueezeformerEncoder",
                 f"{MODULES}.ConformerMultiLayerFeatureExtractor", {"a": 1}],
    "feat_in": [..., 0, -1, 17, "16", 10**12],
    "n_layers": [..., 0, -1, 2, 10**9, "1", 1.5, True, [1]],
    "d_model": [..., 0, 7, 9, 16, -8, 10**9, "8", None, float("nan")],
    "n_heads": [0, 3, -2, 4, 16, 10**9, "2"],
    "ff_expansion_factor": [0, -4, 2, 10**9, 4.5, "4"],
    "subsampling": ["vggnet", "stacking", "stacking_norm", "dw_striding", "striding_conv1d", 3, "", ["striding"]],
    "subsampling_factor": [0, 1, 2, 3, 6, 8, -4, 10**9, "4"],
    "subsampling_conv_channels": [0, -1, -2, 4, 10**9, "2", [2]],
    "causal_downsampling": [True, "no"],
    "self_attention_model": ["rel_pos_local_attn", "abs_pos", 5],
    "att_context_size": [[128, 128], [-1, 0], [70, 13], [-1], [[70, 13], [-1, -1]], [-1.0, -1.0], "all", 5, {}],
    "att_context_style": ["chunked_limited", "chunked_limited_with_rc", 1],
    "att_chunk_context_size": [[[70], [1], [0]]],
    "conv_kernel_size": [0, 2, 5, -3, 10**9, "3"],
    "conv_norm_type": ["layer_norm", "group_norm8", "instance_norm", "fused_batch_norm", 2],
    "conv_context_size": ["causal", [2, 0], [3, 3]],
    "conv_context_style": ["dcc"],
    "conv_dual_mode": [True],
    "reduction_factor": [-1, 10**9, "2"],
    "use_bias": [False, "yes please", 1],
    "untie_biases": ["x", 3],
    "xscaling": ["x", 1],
    "pos_emb_max_len": [0, -5, 10**9, "5000", 2.5],
    "feat_out": [0.5, 20, 10**9, -7, "8"],
    "new_switch": [1],
    "jasper": [[]],
}  # fmt: skip

SUBWORD_CHANGES: dict[str, list[Any]] = {
    "tokenizer": [..., None, [], "bpe"],
    "tokenizer.type": [..., "wpe", "agg", None, 3],
    "tokenizer.model_path": [5, ["x"]],
    "tokenizer.custom_tokenizer": [{"_target_": "os.system"}],
    "decoder.vocabulary": [list(PIECES[:-1]), [*PIECES[:-1], "d"], [*PIECES[1:], "<unk>"], [*PIECES, "d"]],
}


def tokenizer_models() -> dict[str, bytes]:
    """Files that are no SentencePiece model, or another one."""
    good = tokenizer_model()
    byte = b"".join(piece(text, 6 if text == "c" else 2 if text == "<unk>" else 1) for text in PIECES)
    return {
        "text": b"hello\n" * 30,
        "zeros": bytes(100),
        "pickle": b"\x80\x02cos\nsystem\n(S'true'\ntR.",
        "cut": good[:20],
        "cut in a number": good[:1],
        "no pieces": field(2, b"\x18\x02"),
        "one piece fewer": good[len(piece(PIECES[0], 2)) :],
        "one piece more": piece("d") + good,
        "another piece": good.replace(b"\x01c", b"\x01d", 1),
        "a byte piece": byte,
        "kind 9": piece("<unk>", 9) + good,
        "empty piece": piece("") + good,
        "long piece": piece("x" * 300) + good,
        "not UTF-8": field(1, field(1, b"\xff\xfe")) + good,
        "group": b"\x0b" + good,
        "length of exabytes": varint(1 << 3 | 2) + varint(1 << 62) + good,
        "endless number": b"\xff" * 30,
        "70,000 pieces": piece("x") * 70_000,
    }


def _changed_conformer(path: str, value: Any) -> bytes:
    return conformer_bytes(changed_config(path, value, small_conformer()))


def _changed_subword(path: str, value: Any) -> bytes:
    return subword_bytes(changed_config(path, value, subword_config()))


def conformers() -> Iterator[tuple[str, Recipe]]:
    for key, values in CONFORMER_CHANGES.items():
        for value in values:
            shown = "left out" if value is ... else repr(value)[:60]
            yield f"encoder.{key} = {shown}", partial(_changed_conformer, f"encoder.{key}", value)
    reduced: dict[str, Any] = {"reduction": "pooling", "reduction_factor": 2, "reduction_position": 0}
    yield "a reduction inside", lambda: conformer_bytes(small_conformer(**reduced))
    scaled: dict[str, Any] = {"xscaling": "${x}", "n_layers": "${model.n_layers}"}
    yield "unresolved", lambda: conformer_bytes(small_conformer(**scaled))


def subwords() -> Iterator[tuple[str, Recipe]]:
    for path, values in SUBWORD_CHANGES.items():
        for value in values:
            shown = "left out" if value is ... else repr(value)[:60]
            yield f"{path} = {shown}", partial(_changed_subword, path, value)
    for name, model in tokenizer_models().items():
        yield f"tokenizer.model, {name}", partial(subword_bytes, model=model)
    for name, data in {
        "another piece": vocabulary_file().replace(b"##c", b"##d"),
        "another order": b"".join(reversed(vocabulary_file().splitlines(keepends=True))),
        "one piece fewer": vocabulary_file()[: -len(b"##c\n")],
        "not UTF-8": b"\xff\n" * 5,
    }.items():
        yield f"vocab.txt, {name}", partial(subword_bytes, vocabulary=data)
    bert = ("<unk>", "\u2581", "a", "##b", "ab", "##c")
    yield "BERT's spelling without a model", lambda: subword_bytes(subword_config(bert), model=b"")
