"""The toy network as files: a float model, its quantized file, a few seconds of noise with a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from support.toy import N_MELS, VOCABULARY, toy_graph, toy_mel
from zeroq_asr.adapters import FloatModel
from zeroq_asr.artifact import IntegerModel, save_model
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.runtime.float_executor import FloatExecutor

RATE = 16000


def toy_float_model(seed: int = 0) -> FloatModel:
    """Return a float model that hears 6 mel bins and spells with "abc"."""
    return FloatModel(toy_graph(seed), FrontendSpec(n_mels=N_MELS), VOCABULARY, "0" * 64, "toy", "quartznet")


def toy_integer_model(bits: int = 8, seed: int = 0) -> IntegerModel:
    """Return the toy model with `bits` weight bits, calibrated on noise."""
    model, config = toy_float_model(seed), QuantizeConfig(bits=bits)
    folded = fold_batchnorm(model.graph)
    table = calibrate(FloatExecutor(folded), [toy_mel(1, 4, 200)], config, "noise")
    qparams = assign_qparams(folded, table, config)
    graph = lower_to_integer(folded, qparams, config)
    return IntegerModel(graph, qparams["mel"].scale, model.frontend, model.vocabulary, {"calibration": "noise"})


def save_toy(path: Path, bits: int = 8, seed: int = 0) -> Path:
    """Write the quantized toy model to `path`."""
    save_model(toy_integer_model(bits, seed), path)
    return path


def save_noise(folder: Path, count: int = 5, rate: int = RATE, channels: int = 1) -> Path:
    """Write `count` wav files of different lengths and their manifest; return the manifest's path."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        frames = rate * (3 + number) // 10
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.1, (frames, channels)), rate)
        lines.append({"audio_filepath": f"{number}.wav", "duration": frames / rate, "text": f"a b{'c' * number}"})
    path = folder / "manifest.json"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path
