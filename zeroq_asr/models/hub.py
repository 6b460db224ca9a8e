"""Models on NGC and Hugging Face: nemo_toolkit downloads the file, and our own reader reads it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from zeroq_asr.errors import FileError

_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia"
# Published QuartzNets that NeMo 3.0.0 no longer lists, but that are still on NGC.
_OLD_NAMES = re.compile(r"QuartzNet(15x5Base-En|15x5Base-Zh|15x5NR-En|5x5LS-En)")
_LANGUAGE_NAMES = re.compile(r"stt_[a-z]{2}_quartznet15x5")


def ngc_address(name: str) -> tuple[str, str] | None:
    """Return folder URL and file name of a published QuartzNet on NGC, None for any other name."""
    if _OLD_NAMES.fullmatch(name):
        return f"{_NGC}/nemospeechmodels/versions/1.0.0a5/files/", f"{name}.nemo"
    if _LANGUAGE_NAMES.fullmatch(name):
        return f"{_NGC}/nemo/{name}/versions/1.0.0rc1/files/", f"{name}.nemo"
    return None


def download(name: str, shipped: Iterable[str]) -> Path:
    """Return the path of the .nemo file of `name`, which nemo_toolkit downloads or has in its cache.

    No code of the file is executed, because NeMo returns the file and not the model.
    Raises FileError: NeMo missing, no network, unknown name.
    """
    unknown = f"{name!r}: no file or shipped model ({', '.join(shipped) or 'none'}) has this name"
    disabled = logging.root.manager.disable
    try:
        logging.disable(logging.CRITICAL)  # NeMo and the network libraries log at length; one error line is enough
        found = _fetch(name)
    except ImportError as error:
        raise FileError(
            f"{unknown}; to look it up on NGC or Hugging Face run `pip install 'zeroq-asr[nemo]'`, or give a .nemo file"
        ) from error
    except FileNotFoundError as error:
        raise FileError(
            f"{unknown}, and nemo_toolkit does not list it either; check the name, or give the path of a .nemo file"
        ) from error
    except Exception as error:  # network libraries raise many kinds of errors
        raise FileError(
            f"{unknown}, and it could not be downloaded ({type(error).__name__});"
            " check the network, or download the .nemo file elsewhere and give its path"
        ) from error
    finally:
        logging.disable(disabled)
    if not found.is_file():
        raise FileError(
            f"{name!r}: expected one .nemo file from the hub, got none; download the file and give its path"
        )
    return found


def _fetch(name: str) -> Path:
    from nemo.collections.asr.models import ASRModel

    address = ngc_address(name)
    if address is None:
        return Path(str(ASRModel.from_pretrained(model_name=name, return_model_file=True)))
    from nemo.utils.cloud import maybe_download_from_cloud
    from nemo.utils.data_utils import resolve_cache_dir

    folder, file = address
    cache = Path(resolve_cache_dir()) / name
    return Path(str(maybe_download_from_cloud(url=folder, filename=file, cache_dir=cache, subfolder="ngc")))
