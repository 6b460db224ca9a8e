"""Names on NGC and Hugging Face: nemo_toolkit downloads the file, we read it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from zeroq_asr.errors import FileError


def download(name: str, shipped: Iterable[str]) -> Path:
    """Return the path of the .nemo file that nemo_toolkit fetched for `name` (its cache is used when it has it).

    Nothing of the downloaded file is executed here: NeMo is asked for the file, not for the model.
    Raises FileError with one sentence: NeMo missing, no network, unknown name.
    """
    choices = ", ".join(shipped) or "none"
    try:
        from nemo.collections.asr.models import EncDecCTCModel
    except ImportError as error:
        raise FileError(
            f"{name!r}: no file or shipped model ({choices}) has this name; to look it up on NGC or Hugging Face"
            " install nemo_toolkit[asr], or give the path of a .nemo file"
        ) from error
    level = logging.getLogger("nemo_logger").level
    try:
        logging.getLogger("nemo_logger").setLevel(logging.ERROR)
        found = EncDecCTCModel.from_pretrained(model_name=name, return_model_file=True)
    except Exception as error:  # the network layers below raise anything
        raise FileError(
            f"{name!r}: no file or shipped model ({choices}) has this name, and NGC and Hugging Face could not"
            f" deliver it ({type(error).__name__}); check the name and the network, or give the path of a .nemo file"
        ) from error
    finally:
        logging.getLogger("nemo_logger").setLevel(level)
    path = Path(str(found))
    if not path.is_file():
        raise FileError(
            f"{name!r}: needed one .nemo file from the hub, came a folder; download the file and give its path"
        )
    return path
