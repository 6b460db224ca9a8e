"""Conformer and sub-word files read without NeMo: structure, old settings, refusals by the part's name, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nemo_conformer_files import (
    PIECES,
    conformer_bytes,
    small_conformer,
    subword_bytes,
    subword_config,
    tokenizer_model,
)
from support.nemo_files import changed_config, old_layout

from eval.ctc import decode
from zeroq_asr.adapters import FloatModel
from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.nemo.conformer_config import read_conformer
from zeroq_asr.adapters.safe.sentencepiece import read_pieces
from zeroq_asr.errors import UnsupportedModelError
from zeroq_asr.models.full_size import full_size_graph
from zeroq_asr.models.resolve import load_float_model


def load(tmp_path: Path, data: bytes) -> FloatModel:
    path = tmp_path / "model.nemo"
    path.write_bytes(data)
    return load_float_model(str(path))


def test_one_layer_is_the_conformer_block(tmp_path: Path) -> None:
    model = load(tmp_path, conformer_bytes(small_conformer()))
    layer = "encoder.layers.0"
    ops = [node.op for node in model.graph.nodes if node.output.startswith(layer)]
    feed_forward = ["layer_norm", "conv1d", "swish", "conv1d", "scale", "add"]
    attention = ["layer_norm", *["conv1d"] * 4, "add_bias", "add_bias", "attention", "conv1d", "add"]
    convolution = ["layer_norm", "conv1d", "conv1d", "glu", "conv1d", "batch_norm", "swish", "conv1d", "add"]
    assert ops == [*feed_forward, *attention, *convolution, *feed_forward, "layer_norm"]
    before = [node.op for node in model.graph.nodes][:7]
    assert before == ["conv2d", "relu", "conv2d", "relu", "conv1d", "scale", "positions"]
    norm = model.graph.producer(f"{layer}.conv.batch_norm")
    assert norm is not None and norm.inputs[0] == f"{layer}.conv.depthwise_conv" and norm.attrs["eps"] == 1e-5
    assert (model.family, model.name) == ("conformer", "model")


def test_all_layers_read_the_same_positions() -> None:
    graph = full_size_graph("conformer-small")
    (positions,) = [node for node in graph.nodes if node.op == "positions"]
    assert positions.attrs["max_frames"] == 5000
    assert [node.output for node in graph.consumers(positions.output)] == [
        f"encoder.layers.{index}.self_attn.linear_pos" for index in range(16)
    ]


def test_convolutions_see_time_and_mel_bins_the_right_way_round(tmp_path: Path) -> None:
    """NeMo stores [O, C, time, mel], the graph has [O, C, mel, time]."""
    from support.nemo_conformer_files import drawn_tensors

    name = "encoder.pre_encode.conv.0.weight"
    ours = load(tmp_path, conformer_bytes(small_conformer())).graph.constants[name]
    theirs = drawn_tensors(small_conformer())[name].numpy()
    assert np.array_equal(ours, np.swapaxes(theirs, 2, 3)) and not np.array_equal(ours, theirs)


NEW_SWITCHES: dict[str, Any] = {
    "feat_out": -1, "causal_downsampling": False, "subsampling_conv_chunking_factor": 1, "reduction": None,
    "reduction_position": None, "reduction_factor": 1, "ff_expansion_factor": 4, "self_attention_model": "rel_pos",
    "att_context_probs": None, "att_chunk_context_size": None, "att_context_style": "regular", "xscaling": True,
    "untie_biases": True, "pos_emb_max_len": 5000, "conv_norm_type": "batch_norm", "conv_context_size": None,
    "conv_context_style": "regular", "use_bias": True, "dropout": 0.1, "dropout_pre_encoder": 0.1, "dropout_emb": 0.1,
    "dropout_att": 0.0, "stochastic_depth_drop_prob": 0.0, "stochastic_depth_mode": "linear",
    "stochastic_depth_start_layer": 1, "global_tokens": 0, "global_tokens_spacing": 1, "global_attn_separate": False,
    "use_pytorch_sdpa": False, "use_pytorch_sdpa_backends": None, "sync_max_audio_length": True,
}  # fmt: skip


def test_files_of_older_versions_lack_switches_and_are_the_same_model(tmp_path: Path) -> None:
    old = load(tmp_path, conformer_bytes(small_conformer()))
    assert not set(NEW_SWITCHES) & set(small_conformer()["encoder"])
    assert load(tmp_path, conformer_bytes(small_conformer(**NEW_SWITCHES))).fingerprint == old.fingerprint
    assert load(tmp_path, conformer_bytes(old_layout(small_conformer()))).fingerprint == old.fingerprint


def test_defaults_are_the_classs_own() -> None:
    settings = read_conformer(ConfigSection({"feat_in": 80, "d_model": 64, "n_layers": 2}, "encoder"), 80)
    assert (settings.heads, settings.feed_forward, settings.kernel, settings.max_frames) == (4, 256, 31, 5000)
    assert (settings.subsampling, settings.halvings, settings.conv_channels) == ("striding", 2, 64)
    assert settings.x_scaling and settings.bias and settings.out_width == 0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another subsampling": ({"subsampling": "vggnet"}, "encoder.subsampling = 'vggnet'"),
    "causal subsampling": ({"causal_downsampling": True}, "causal_downsampling"),
    "local attention": ({"self_attention_model": "rel_pos_local_attn", "att_context_size": [128, 128]},
                        "self_attention_model = 'rel_pos_local_attn'"),
    "absolute positions": ({"self_attention_model": "abs_pos"}, "self_attention_model"),
    "limited context": ({"att_context_size": [70, 13]}, "att_context_size"),
    "chunks": ({"att_context_style": "chunked_limited"}, "att_context_style"),
    "another norm": ({"conv_norm_type": "layer_norm"}, "conv_norm_type = 'layer_norm'"),
    "causal convolution": ({"conv_context_size": "causal"}, "conv_context_size"),
    "reduction": ({"reduction": "pooling", "reduction_factor": 2, "reduction_position": 0}, "reduction = 'pooling'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_part_that_is_not_supported_is_named(tmp_path: Path, name: str) -> None:
    changes, words = REFUSED[name]
    with pytest.raises(UnsupportedModelError) as caught:
        load(tmp_path, conformer_bytes(small_conformer(**changes)))
    assert words in str(caught.value) and "supported: " in str(caught.value)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("target", "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel", "transducers have no CTC head"),
        ("target", "nemo.collections.asr.models.EncDecHybridRNNTCTCBPEModel", "transducer"),
        ("decoder._target_", "nemo.collections.asr.modules.RNNTDecoder", "transducers have no CTC head"),
        ("encoder._target_", "nemo.collections.asr.modules.SqueezeformerEncoder", "Conformer and FastConformer"),
        ("encoder._target_", "nemo.collections.asr.modules.ConformerEncoderAdapter", "adapters"),
    ],
)
def test_a_class_that_is_not_supported_is_named(tmp_path: Path, part: str, value: str, words: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        load(tmp_path, conformer_bytes(changed_config(part, value, small_conformer())))
    assert value in str(caught.value) and words in str(caught.value)


# ---- sub-words -----------------------------------------------------------------------------------------------------

BERT = ("<unk>", "\u2581", "a", "##b", "ab", "##c")


@pytest.mark.parametrize("vocabulary", [PIECES, BERT], ids=["pieces", "BERT's spelling"])
def test_text_is_the_tokenizers_whatever_the_config_spells(tmp_path: Path, vocabulary: tuple[str, ...]) -> None:
    model = load(tmp_path, subword_bytes(subword_config(vocabulary)))
    assert model.vocabulary == (" \u2047 ", " ", " a", "b", " ab", "c")
    blank = len(PIECES)
    tokens = np.array([2, 2, 3, blank, 3, 5, 4, blank, 4, 1, 3, 5])
    assert decode(tokens, model.vocabulary) == "abbc ab ab bc"


def test_a_file_without_its_tokenizer_is_spelled_by_its_vocabulary(tmp_path: Path) -> None:
    whole = load(tmp_path, subword_bytes())
    assert load(tmp_path, subword_bytes(model=b"", vocabulary=b"")).vocabulary == whole.vocabulary
    assert load(tmp_path, subword_bytes(vocabulary=b"")).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    "lines",
    [
        ("a", "##b", "ab", "##c"),  # the lone U+2581 lost its line
        ("\u2581", "\u2581a", "b", "\u2581ab", "c"),
        PIECES,
    ],
)
def test_vocabulary_files_of_every_kind_agree(tmp_path: Path, lines: tuple[str, ...]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    assert load(tmp_path, subword_bytes(vocabulary=data)).vocabulary[2] == " a"


def test_sentencepiece_reads_the_same_pieces() -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    lines = ["turn on the kitchen light", "play music for seven minutes", "turn the music off please"] * 20
    for options in ({}, {"model_type": "bpe"}, {"bos_id": 1, "eos_id": 2, "pad_id": 3, "user_defined_symbols": "<s1>"}):
        import io

        stream = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=stream, vocab_size=40, minloglevel=2, hard_vocab_limit=False,
            **options,
        )  # fmt: skip
        theirs = sentencepiece.SentencePieceProcessor(model_proto=stream.getvalue())
        ours = read_pieces(stream.getvalue(), "here")
        assert [piece.text for piece in ours] == [theirs.id_to_piece(n) for n in range(theirs.get_piece_size())]
        assert [n for n, piece in enumerate(ours) if piece.kind == 3] == [
            n for n in range(len(ours)) if theirs.is_control(n)
        ]
    ours = read_pieces(tokenizer_model(), "here")
    assert tuple(piece.text for piece in ours) == PIECES and ours[0].kind == 2
