"""Quantize a `.nemo` file without data, verify the result and transcribe with both models.

python examples/quantize_nemo.py my_model.nemo speech.wav --bits 6
"""

from __future__ import annotations

import argparse

import zeroq_asr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .nemo file or the name of a shipped model")
    parser.add_argument("audio", help="a sound file")
    parser.add_argument("--bits", type=int, default=8, help="bits of the weights, 2 to 8")
    parser.add_argument("--output", default="quantized.safetensors")
    arguments = parser.parse_args()

    model = zeroq_asr.load(arguments.model)
    quantized = zeroq_asr.quantize(model, bits=arguments.bits)
    proof = quantized.verify([arguments.audio])
    quantized.save(arguments.output)

    print(f"float     {model.transcribe(arguments.audio).text}")
    print(f"{quantized.bits:9s} {zeroq_asr.load(arguments.output).transcribe(arguments.audio).text}")
    print(f"verified  {proof.holds}")


if __name__ == "__main__":
    main()
