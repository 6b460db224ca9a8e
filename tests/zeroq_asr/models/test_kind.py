"""What a model file is: told by its bytes, whatever its name, and never by reading more than its header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.toy_models import save_toy

from zeroq_asr.errors import FileError
from zeroq_asr.models.kind import find_model_kind


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    from safetensors.numpy import save

    assert find_model_kind(str(save_toy(tmp_path / "model.nemo"))) == "quantized"
    (tmp_path / "quantized.safetensors").write_bytes(save({"mel": np.zeros(1, np.float32)}, {"synth": "{}"}))
    assert find_model_kind(str(tmp_path / "quantized.safetensors")) == "synthetic"
    (tmp_path / "gzip").write_bytes(b"\x1f\x8b" + bytes(50))
    (tmp_path / "tar").write_bytes(bytes(257) + b"ustar\x00" + bytes(249))
    assert find_model_kind(str(tmp_path / "gzip")) == find_model_kind(str(tmp_path / "tar")) == "nemo"


def test_names_are_left_to_the_loader() -> None:
    assert find_model_kind("some-shipped-name") == "name"
    assert find_model_kind("stt_en_quartznet15x5") == "name"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save

    tensors = {"x": np.zeros(1, dtype=np.float32)}
    contents = {
        "empty": b"",
        "text": b"hello, this is no model at all",
        "zip": b"PK\x03\x04" + bytes(100),
        "other safetensors": save(tensors),
        "safetensors of others": save(tensors, {"format": "pt"}),
        "header too long": (1 << 62).to_bytes(8, "little") + b"{}",
        "header cut off": (200).to_bytes(8, "little") + b'{"__metadata__"',
        "header a list": (2).to_bytes(8, "little") + b"[]",
        "header nested": (60000).to_bytes(8, "little") + b"[" * 60000,
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"expected a \.nemo checkpoint or a quantized model"):
            find_model_kind(str(path))
    with pytest.raises(FileError, match="folder"):
        find_model_kind(str(tmp_path))
    for missing in (str(tmp_path / "gone"), "gone.nemo", "./gone", ""):
        with pytest.raises(FileError, match="no such file"):
            find_model_kind(missing)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_file_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz"
    path.write_bytes(content)
    with pytest.raises(FileError):
        find_model_kind(str(path))
