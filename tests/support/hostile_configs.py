"""Hostile YAML and config values that make no sense or are not supported: each a name and a recipe for its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from support.nemo_files import changed_config, config_bytes, nemo_bytes, small_config

Recipe = Callable[[], bytes]
MODULES = "nemo.collections.asr.modules"
MODELS = "nemo.collections.asr.models"

BAD_YAML: dict[str, bytes] = {
    "empty": b"\n",
    "only a comment": b"# nothing\n",
    "a list": b"- 1\n- 2\n",
    "a number": b"42\n",
    "not YAML": b"a: [1, 2\nb: }\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "not UTF-8": b"a: \xff\xfe\n",
    "a NUL": b"a: \x00\n",
    "a tab": b"a:\n\t- 1\n",
    "python/object/apply": b"a: !!python/object/apply:os.system ['true']\n",
    "python/name": b"a: !!python/name:os.system ''\n",
    "python/tuple": b"a: !!python/tuple [1, 2]\n",
    "private tag": b"a: !new:os.system [x]\n",
    "binary tag": b"a: !!binary aGVsbG8=\n",
    "merge": b"a: &a {x: 1}\nb:\n  <<: *a\n",
    "double key": b"target: a\ntarget: b\n",
    "key is a list": b"? [a, b]\n: 1\n",
    "unknown alias": b"a: *nowhere\n",
    "alias of itself": b"a: &a [*a]\n",
    "laughs": b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 12)),
    "2000 aliases": b"a: &a x\nb: [" + b"*a, " * 2000 + b"x]\n",
    "deep lists": b"a: " + b"[" * 5000,
    "deep mappings": b"{a: " * 5000,
    "deep indentation": b"".join(b" " * n + b"a:\n" for n in range(500)),
    "wide": b"a: [" + b"1," * 300_000 + b"1]\n",
    "large": b"a: " + b"x" * (5 << 20) + b"\n",
    "long key": b"k" * 900 + b": 1\n",
    "long digits": b"a: " + b"9" * 100_000 + b"\ntarget: 1\n",
    "base 60": b"target: " + b"1:" * 50_000 + b"1\n",
}

CONFIG_CHANGES: dict[str, list[Any]] = {
    "target": [7, "os.system", f"{MODELS}.EncDecRNNTModel", "EncDecCTCModel",
               f"{MODELS}.EncDecHybridRNNTCTCModel", f"{MODELS}.EncDecClassificationModel"],
    "preprocessor": [..., None, [], "x"],
    "preprocessor._target_": [..., None, "os.system", f"{MODULES}.AudioToMFCCPreprocessor"],
    "preprocessor.sample_rate": [0, -16000, 1e9, "16000", "${sample_rate}", [16000], float("nan")],
    "preprocessor.window_size": [0, -1, 1e-9, 100, "x"],
    "preprocessor.n_window_size": [320],
    "preprocessor.window": ["kaiser", "none", 3],
    "preprocessor.features": [0, -1, 65, 10**9, 16.5, True],
    "preprocessor.n_fft": [256, -512, 1 << 40],
    "preprocessor.normalize": ["per_channel", {"fixed_mean": [1], "fixed_std": [1]}],
    "preprocessor.frame_splicing": [2, "1"],
    "preprocessor.exact_pad": [True],
    "preprocessor.log": [False],
    "preprocessor.mag_power": [0, -2, float("inf")],
    "preprocessor.mel_norm": ["htk", 1],
    "preprocessor.log_zero_guard_value": [0, -1, "huge"],
    "preprocessor.log_zero_guard_type": ["max"],
    "preprocessor.preemph": [2, "x"],
    "preprocessor.new_switch": [1],
    "encoder": [..., None, 5],
    "encoder._target_": [..., "os.system", f"{MODULES}.ConformerEncoder", "torch.nn.Linear", ["x"], "",
                         f"{MODULES}.ConvASREncoder.__class__", f"{MODULES}.SqueezeformerEncoder"],
    "encoder.feat_in": [..., 17, 0, -1, "16"],
    "encoder.activation": [..., "hardtanh", "swish", "gelu", None, 1],
    "encoder.conv_mask": ["true", 1, False],
    "encoder.normalization_mode": ["layer", "instance", "group"],
    "encoder.residual_mode": ["max", "concat"],
    "encoder.frame_splicing": [3],
    "encoder.quantize": [True],
    "encoder.new_switch": [0],
    "encoder.jasper": [..., None, [], {}, "x", [None], [[]], 3],
    "encoder.jasper.0.filters": [..., 0, -8, 9, 10**9, "8", [8], 8.5],
    "encoder.jasper.0.repeat": [..., 0, -1, 2, 10**9, True],
    "encoder.jasper.0.kernel": [..., 0, -5, [-5], [7], [5, 5], [], "5", 10**9, [[5]]],
    "encoder.jasper.0.stride": [..., 0, [-2], [100], [2, 2]],
    "encoder.jasper.0.dilation": [..., 0, [2], [-1], [10**9]],
    "encoder.jasper.0.separable": [False, "yes please", 1],
    "encoder.jasper.0.groups": [0, 3, -1, 10**9],
    "encoder.jasper.0.heads": [0, 3, -2, 4],
    "encoder.jasper.0.se": [True, "yes please", 1, {}],
    "encoder.jasper.0.se_reduction_ratio": [0, -8, 10**9, "8", 1.5],
    "encoder.jasper.0.se_context_size": ["all", 10**12, [1]],
    "encoder.jasper.0.se_context_window": ["all", 10**12],
    "encoder.jasper.0.kernel_size_factor": [0, -1, 1e9, 3.0, float("inf")],
    "encoder.jasper.0.future_context": [0, 2, -2],
    "encoder.jasper.0.residual": [True, "x"],
    "encoder.jasper.0.new_switch": [None],
    "encoder.jasper.1.residual": [False, ..., 1],
    "encoder.jasper.1.residual_mode": ["max"],
    "encoder.jasper.1.stride": [[2]],
    "decoder": [..., None],
    "decoder._target_": ["os.system", f"{MODULES}.RNNTDecoder", f"{MODULES}.LSTMDecoder"],
    "decoder.feat_in": [8, -1, "12"],
    "decoder.num_classes": [2, 4, 10**9, "3"],
    "decoder.vocabulary": [..., [], None, "abc", [" ", "a"], [" ", "a", None], [" ", "a", "a"], [" ", "a", "b", "c"],
                           [" ", "a", 1], [" ", "a", "b" * 1000], [" ", "a", ""]],
    "decoder.add_blank": [False],
    "decoder.new_switch": ["x"],
    "adapters": [{"a": {}}],
}  # fmt: skip


def _changed_bytes(path: str, value: Any) -> bytes:
    return nemo_bytes(config_bytes(changed_config(path, value)))


def configs() -> Iterator[tuple[str, Recipe]]:
    for name, data in BAD_YAML.items():
        yield f"yaml, {name}", partial(nemo_bytes, data)
    for path, values in CONFIG_CHANGES.items():
        for value in values:
            shown = "left out" if value is ... else repr(value)[:60]
            if path == "encoder.jasper.1.residual" and value is ...:
                continue  # true is NeMo's default
            yield f"{path} = {shown}", partial(_changed_bytes, path, value)
    for key in ("se_context_size", "se_context_window"):
        config = changed_config("encoder.jasper.0.se", True)
        config["encoder"]["jasper"][0][key] = 128
        yield f"squeeze-and-excite of {key} 128", partial(nemo_bytes, config_bytes(config))
    yield (
        "10,000 blocks",
        lambda: nemo_bytes(config_bytes(changed_config("encoder.jasper", small_config()["encoder"]["jasper"] * 3334))),
    )
