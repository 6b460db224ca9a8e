"""`.nemo` files made by hand, good and bad: no NeMo needed, every byte under control."""

from __future__ import annotations

import copy
import gzip
import io
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import yaml

from support.nemo_models import block, ctc_config
from zeroq_asr.frontend.log_mel import analysis_window, mel_filters
from zeroq_asr.frontend.spec import FrontendSpec

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"


def small_config() -> dict[str, Any]:
    """A QuartzNet of three blocks: a stride, a residual branch, a dense end; with the `target` that NeMo adds."""
    blocks = [block(8, 5, stride=[2]), block(8, 3, 2, residual=True), block(12, 1, separable=False)]
    config = ctc_config(blocks, features=16, vocabulary=[" ", "a", "b"])
    return {**config, "target": "nemo.collections.asr.models.ctc_models.EncDecCTCModel", "nemo_version": "3.0.0"}


def small_tensors(seed: int = 0) -> OrderedDict[str, torch.Tensor]:
    """The state dict that belongs to `small_config`."""
    rng = np.random.default_rng(seed)
    spec = FrontendSpec(n_mels=16)
    state: OrderedDict[str, torch.Tensor] = OrderedDict()

    def put(name: str, array: np.ndarray) -> None:
        state[name] = torch.tensor(np.asarray(array, dtype=np.float32))

    def norm(path: str, channels: int) -> None:
        put(f"{path}.weight", rng.uniform(0.5, 1.5, channels))
        put(f"{path}.bias", rng.normal(0, 0.3, channels))
        put(f"{path}.running_mean", rng.normal(0, 0.3, channels))
        put(f"{path}.running_var", rng.uniform(0.3, 1.5, channels))
        state[f"{path}.num_batches_tracked"] = torch.tensor(2)

    put("preprocessor.featurizer.window", analysis_window(spec))
    put("preprocessor.featurizer.fb", mel_filters(spec)[None])
    encoder = "encoder.encoder"
    put(f"{encoder}.0.mconv.0.conv.weight", rng.normal(0, 0.4, (16, 1, 5)))
    put(f"{encoder}.0.mconv.1.conv.weight", rng.normal(0, 0.3, (8, 16, 1)))
    norm(f"{encoder}.0.mconv.2", 8)
    for start in (0, 5):
        put(f"{encoder}.1.mconv.{start}.conv.weight", rng.normal(0, 0.5, (8, 1, 3)))
        put(f"{encoder}.1.mconv.{start + 1}.conv.weight", rng.normal(0, 0.3, (8, 8, 1)))
        norm(f"{encoder}.1.mconv.{start + 2}", 8)
    put(f"{encoder}.1.res.0.0.conv.weight", rng.normal(0, 0.3, (8, 8, 1)))
    norm(f"{encoder}.1.res.0.1", 8)
    put(f"{encoder}.2.mconv.0.conv.weight", rng.normal(0, 0.3, (12, 8, 1)))
    norm(f"{encoder}.2.mconv.1", 12)
    put("decoder.decoder_layers.0.weight", rng.normal(0, 0.3, (4, 12, 1)))
    put("decoder.decoder_layers.0.bias", rng.normal(0, 0.3, 4))
    return state


def weights_bytes(value: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def old_zip(state: dict[str, torch.Tensor]) -> bytes:
    """A zip checkpoint as torch 1.6 wrote it: few members, and records named after addresses."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def sizes(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    stream = io.BytesIO()
    pickled = b"\x80\x02ccollections\nOrderedDict\n)R("
    with zipfile.ZipFile(stream, "w") as archive:
        for index, (name, tensor) in enumerate(state.items()):
            key = str(94_147_592_784_512 + 64 * index)
            kind = b"FloatStorage" if tensor.is_floating_point() else b"LongStorage"
            storage = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(key) + text("cuda:0")
            view = b"K\0" + sizes(tuple(tensor.shape)) + sizes(tensor.stride()) + b"\x89ccollections\nOrderedDict\n)R"
            pickled += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage
            pickled += b"J" + struct.pack("<i", tensor.numel()) + b"tQ" + view + b"tR"
            archive.writestr(f"archive/data/{key}", tensor.numpy().tobytes())
        archive.writestr("archive/data.pkl", pickled + b"u.")
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def config_bytes(config: Any) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(config, Dumper=dumper, sort_keys=False).encode()


@cache
def good_config() -> bytes:
    return config_bytes(small_config())


@cache
def good_weights() -> bytes:
    return weights_bytes(small_tensors())


Edit = Callable[[tarfile.TarFile], None]


def add(tar: tarfile.TarFile, name: str, data: bytes, **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def nemo_bytes(
    config: bytes | None = None,
    weights: bytes | None = None,
    before: Edit | None = None,
    after: Edit | None = None,
    compress: bool = False,
    format: int = tarfile.PAX_FORMAT,
) -> bytes:
    """A whole file, with other members where `before` and `after` put them; empty bytes leave a member out."""
    config = good_config() if config is None else config
    weights = good_weights() if weights is None else weights
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        add(tar, "./", b"", type=tarfile.DIRTYPE)
        if before is not None:
            before(tar)
        if config:
            add(tar, f"./{CONFIG}", config, mtime=1.5)
        if weights:
            add(tar, f"./{WEIGHTS}", weights, mtime=2.5)
        if after is not None:
            after(tar)
    data = stream.getvalue()
    return gzip.compress(data, 1) if compress else data


def changed_config(path: str, value: Any, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """A config (`small_config`) with the value at a dotted path replaced, or removed when `value` is ...; numbers index
    lists."""
    config = copy.deepcopy(small_config() if config is None else config)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = config
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


def old_layout(config: dict[str, Any]) -> dict[str, Any]:
    """The config as NeMo wrote it before 1.0: `cls` and `params`."""
    result = copy.deepcopy(config)
    for name in ("preprocessor", "encoder", "decoder"):
        target = result[name].pop("_target_")
        result[name] = {"cls": target, "params": result[name]}
    return result
