"""Checked access to a NeMo config: types and ranges of values, unknown keys, and the classes of modules.

Class names such as `nemo.collections.asr.modules.ConvASREncoder` are compared with lists, never imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from zeroq_asr.adapters.registry import encoder_targets, family_titles
from zeroq_asr.adapters.safe.yaml_reader import Plain
from zeroq_asr.errors import CheckpointError, UnsupportedModelError

_MODULES = "nemo.collections.asr.modules"
_MODELS = "nemo.collections.asr.models"

MODEL_CLASSES: Mapping[str, str] = {
    f"{_MODELS}.EncDecCTCModel": "EncDecCTCModel",
    f"{_MODELS}.ctc_models.EncDecCTCModel": "EncDecCTCModel",
    f"{_MODELS}.EncDecCTCModelBPE": "EncDecCTCModelBPE",
    f"{_MODELS}.ctc_bpe_models.EncDecCTCModelBPE": "EncDecCTCModelBPE",
}
PREPROCESSORS = (
    f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
    f"{_MODULES}.audio_preprocessing.AudioToMelSpectrogramPreprocessor",
)
DECODERS = (f"{_MODULES}.ConvASRDecoder", f"{_MODULES}.conv_asr.ConvASRDecoder")


class ConfigSection:
    """One mapping of the config. Each getter marks its key as read and names it in its error.

    Getters raise CheckpointError for a value of the wrong type or out of range.
    """

    def __init__(self, values: Mapping[str, Plain], where: str) -> None:
        self._values = values
        self._seen: set[str] = set()
        self.where = where

    def _take(self, key: str) -> Plain:
        self._seen.add(key)
        return self._values.get(key)

    def fail(self, key: str, expected: str, got: Plain) -> NoReturn:
        """Raise the CheckpointError for an invalid value."""
        hint = "; resolve the config before saving" if isinstance(got, str) and "${" in got else ""
        raise CheckpointError(f"{self.where}.{key}: expected {expected}, got {shorten(got)}{hint}")

    def refuse(self, key: str, supported: str, got: Plain) -> NoReturn:
        """Raise the UnsupportedModelError for a value that is valid in NeMo but not supported here."""
        raise UnsupportedModelError(f"{self.where}.{key} = {shorten(got)} is not supported; supported: {supported}")

    def has(self, key: str) -> bool:
        """Return whether `key` is present and not null."""
        return self._values.get(key) is not None

    @property
    def written(self) -> frozenset[str]:
        """Return the keys that are present, null or not."""
        return frozenset(self._values)

    def section(self, key: str) -> ConfigSection:
        """Return the mapping under `key`."""
        value = self._take(key)
        if not isinstance(value, Mapping):
            self.fail(key, "a section with keys", value)
        return ConfigSection(value, f"{self.where}.{key}")

    def sections(self, key: str, most: int) -> list[ConfigSection]:
        """Return the list of 1 to `most` mappings under `key`."""
        value = self._take(key)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.fail(key, f"a list of 1 to {most} sections", value)
        for index, item in enumerate(value):
            if not isinstance(item, Mapping):
                self.fail(f"{key}[{index}]", "a section with keys", item)
        return [ConfigSection(item, f"{self.where}.{key}[{index}]") for index, item in enumerate(value)]

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return an integer in [low, high]."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(key, f"a whole number from {low} to {high}", value)
        return value

    def single(self, key: str, low: int, high: int) -> int:
        """Return an integer in [low, high] that may be written as a list of one item."""
        value = self._values.get(key)
        if isinstance(value, list) and len(value) == 1:
            return ConfigSection({key: value[0]}, self.where).integer(key, low, high) if self._take(key) else 0
        return self.integer(key, low, high)

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a finite number in [low, high]."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(value, int | float) or not is_number or not math.isfinite(value) or not low <= value <= high:
            self.fail(key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return a boolean."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(key, "true or false", value)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            self.fail(key, "text", value)
        return value

    def raw(self, key: str) -> Plain:
        """Return the unchecked value of `key`, None if there is none."""
        return self._take(key)

    def must_be(self, key: str, *allowed: Plain) -> None:
        """Refuse every value of a switch that is not in `allowed`."""
        value = self._take(key)
        if not any(type(value) is type(choice) and value == choice for choice in allowed):
            self.refuse(key, " or ".join(shorten(choice) for choice in allowed if choice is not None), value)

    def ignore(self, *keys: str) -> None:
        """Mark keys that do not affect inference (dropout, initialisation, dither, ...)."""
        self._seen.update(keys)

    def finish(self) -> None:
        """Raise UnsupportedModelError for keys that were not read: an unknown switch must not be ignored silently."""
        unknown = sorted(set(self._values) - self._seen)
        if unknown:
            raise UnsupportedModelError(
                f"{self.where}: the setting {shorten(unknown[0])} is not supported by this version"
            )


def module_section(model: ConfigSection, key: str, supported: Sequence[str]) -> ConfigSection:
    """Return the settings of a module whose class is one of `supported`.

    The section has the current layout (`_target_` beside the settings) or the old one (`cls` and `params`).
    Raises UnsupportedModelError for every other class, CheckpointError for a section that is missing or invalid.
    """
    return read_module(model, key, supported)[1]


def read_module(model: ConfigSection, key: str, supported: Sequence[str]) -> tuple[str, ConfigSection]:
    """Return the class of a module and its settings; otherwise as `module_section`."""
    section = model.section(key)
    if section.has("cls") and not section.has("_target_"):
        target = section.text("cls")
        inner = section.section("params") if section.has("params") else ConfigSection({}, section.where)
        section.ignore("params")
        section.finish()
        section = inner
    else:
        target = section.text("_target_")
    section.ignore("_target_")
    if target not in supported:
        names = dict.fromkeys(name.rsplit(".", 1)[-1] for name in supported)
        raise UnsupportedModelError(
            f"{section.where}: {shorten(target)} is not supported; supported: {', '.join(names)}"
            f" ({_reason(target.rsplit('.', 1)[-1])})"
        )
    return target, section


def check_classes(model: ConfigSection) -> str:
    """Check the classes of the model and its modules; return "EncDecCTCModel" or "EncDecCTCModelBPE".

    Raises UnsupportedModelError for every other class, CheckpointError when a module's section is missing.
    """
    kind = _model_class(model)
    modules = {"preprocessor": PREPROCESSORS, "encoder": encoder_targets(), "decoder": DECODERS}
    for key, supported in modules.items():
        module_section(model, key, supported)
    return kind


def _model_class(model: ConfigSection) -> str:
    # The oldest files do not name their class. NeMo restores them as the class whose restore_from is called.
    if not model.has("target"):
        return "EncDecCTCModelBPE" if model.has("tokenizer") else "EncDecCTCModel"
    target = model.text("target")
    if target not in MODEL_CLASSES:
        name = target.rsplit(".", 1)[-1]
        raise UnsupportedModelError(
            f"{model.where}.target: {shorten(target)} is not supported; supported: EncDecCTCModel, EncDecCTCModelBPE"
            f" ({_reason(name)})"
        )
    return MODEL_CLASSES[target]


def _reason(name: str) -> str:
    lowered, attention = name.lower(), family_titles(attention_only=True)
    for words, reason in (
        (("rnnt", "transducer", "tdt"), "transducers have no CTC head; this version runs CTC models only"),
        (("hybrid",), "hybrid models contain a transducer; export the CTC part as a separate model"),
        (("adapter",), "adapters are not supported; save the model without them"),
        (("squeezeformer", "transformer", "emformer"), f"the supported attention encoders are {attention}"),
        (("classification", "label", "speaker"), "this version runs speech recognisers only"),
    ):
        if any(word in lowered for word in words):
            return reason
    return f"this version runs CTC recognisers of the families {family_titles()}"


def shorten(value: Plain | Iterable[str]) -> str:
    """Return a short description of a value from a file, on one line, for use in a message."""
    if isinstance(value, Mapping):
        return f"a section of {len(value)} keys"
    if isinstance(value, list | tuple):
        if len(value) > 4:
            return f"a list of {len(value)} items"
        return f"[{', '.join(shorten(item) for item in value)}]"[:80]
    if value is None:
        return "nothing"
    return repr(value)[:80]
