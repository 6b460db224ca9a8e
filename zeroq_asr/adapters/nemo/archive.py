"""A `.nemo` file as plain data: its config and its tensors. Nothing is extracted, imported or executed.

A .nemo file is a tar archive (compressed with gzip up to NeMo 1.6) of `model_config.yaml`, `model_weights.ckpt` and,
for some models, tokenizer files. Their names start with 32 hexadecimal digits; the config refers to them as
`nemo:<name>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zeroq_asr.adapters.safe.tar_stream import open_tar
from zeroq_asr.adapters.safe.torch_weights import MAX_BYTES, load_weights
from zeroq_asr.adapters.safe.yaml_reader import Plain, parse_yaml
from zeroq_asr.errors import CheckpointError
from zeroq_asr.ir import Array

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MAX_CONFIG_BYTES = 4 << 20
MAX_ARTIFACT_BYTES = 64 << 20
MAX_TOKENIZER_BYTES = 8 << 20
"""Largest tokenizer file that is read; the content of larger ones is ignored."""

_ARTIFACT = re.compile(r"[0-9a-f]{32}_[A-Za-z0-9._-]{1,100}")
_TOKENIZER_ENDINGS = (".model", ".txt")


@dataclass(frozen=True, eq=False)
class NemoArchive:
    """The content of a `.nemo` file: the config as plain data; the weights and the tokenizer files still as bytes.

    where: the path, for messages. artifacts: tokenizer files, by the name that the config gives as `nemo:<name>`.
    """

    where: str
    config: Mapping[str, Plain]
    weights: bytes
    artifacts: Mapping[str, bytes] = field(default_factory=dict)

    def tensors(self) -> dict[str, Array]:
        """Return the tensors by name. Raises CheckpointError (see `load_weights`)."""
        return load_weights(self.weights, f"{self.where}, {WEIGHTS}")


def read_nemo(path: str | Path) -> NemoArchive:
    """Read the `.nemo` file at `path`.

    Raises FileError (missing, not a file) and CheckpointError (not a tar archive, truncated, unexpected or duplicate
    members, links, sizes beyond the limits, YAML with tags, ...).
    """
    where = str(path)
    contents: dict[str, bytes] = {}
    artifacts: dict[str, bytes] = {}
    with open_tar(Path(path)) as archive:
        for member in archive.members():
            if member.name in contents or member.name in artifacts:
                raise CheckpointError(
                    f"{where}: member {member.name!r}: expected once, got twice; the file is hostile or damaged"
                )
            if member.name in (CONFIG, WEIGHTS):
                contents[member.name] = member.read(MAX_CONFIG_BYTES if member.name == CONFIG else MAX_BYTES)
            elif _ARTIFACT.fullmatch(member.name) and member.size <= MAX_ARTIFACT_BYTES:
                wanted = member.size <= MAX_TOKENIZER_BYTES and member.name.endswith(_TOKENIZER_ENDINGS)
                artifacts[member.name] = member.read(MAX_TOKENIZER_BYTES) if wanted else b""
            else:
                raise CheckpointError(
                    f"{where}: member {member.name[:120]!r}: expected {CONFIG}, {WEIGHTS} or tokenizer files of at most"
                    f" {MAX_ARTIFACT_BYTES:,} bytes, got something else; save the model again with NeMo's save_to"
                )
    for name in (CONFIG, WEIGHTS):
        if name not in contents:
            raise CheckpointError(f"{where}: expected the member {name}, got none; is this a NeMo model?")
    config = parse_yaml(contents.pop(CONFIG), f"{where}, {CONFIG}")
    if not isinstance(config, Mapping):
        raise CheckpointError(f"{where}, {CONFIG}: expected keys and values, got {type(config).__name__}")
    unmentioned = set(artifacts) - set(_mentioned(config))
    if unmentioned:
        raise CheckpointError(f"{where}: member {min(unmentioned)!r}: expected a mention in the config, got none")
    return NemoArchive(where, config, contents.pop(WEIGHTS), {name: data for name, data in artifacts.items() if data})


def _mentioned(value: Plain) -> Iterator[str]:
    """Yield the names that the config refers to as `nemo:<name>`. The parser has bounded depth and size."""
    if isinstance(value, str):
        if value.startswith("nemo:"):
            yield value.removeprefix("nemo:")
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _mentioned(item)
    elif isinstance(value, list):
        for item in value:
            yield from _mentioned(item)
