"""Quantize a NeMo model that is already in memory, for example right after training.

    python examples/live_nemo_model.py my_model.nemo

NeMo itself opens the file here, with NeMo's guarantees. `zeroq_asr.load("my_model.nemo")` needs no NeMo.
"""

from __future__ import annotations

import sys

from nemo.collections.asr.models import EncDecCTCModel

import zeroq_asr


def main() -> None:
    model = EncDecCTCModel.restore_from(sys.argv[1], map_location="cpu").eval()
    zeroq_asr.quantize(model, bits=8).save("quantized.safetensors")


if __name__ == "__main__":
    main()
