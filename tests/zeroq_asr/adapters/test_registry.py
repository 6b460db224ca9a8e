"""The registry of families: every entry has a builder, and messages and names follow from the entries."""

from __future__ import annotations

import pytest

from zeroq_asr.adapters import registry
from zeroq_asr.adapters.nemo.config import ConfigSection, check_classes
from zeroq_asr.adapters.registry import FAMILIES, EncoderFamily, encoder_targets, family_names, find_family
from zeroq_asr.errors import UnsupportedModelError


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.titles[0])
def test_every_family_has_a_builder(family: EncoderFamily) -> None:
    assert callable(family.load_builder())
    assert all(find_family(target) is family for target in family.targets)


def test_no_class_belongs_to_two_families() -> None:
    assert len(set(encoder_targets())) == len(encoder_targets())
    assert find_family("nemo.collections.asr.modules.Squeezeformer") is None


def test_names_of_families_are_lower_case_titles() -> None:
    assert family_names() == ("quartznet", "jasper", "citrinet", "conformer", "fastconformer")


def test_a_new_entry_is_accepted_and_named_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = "nemo.collections.asr.modules"
    config = {
        "preprocessor": {"_target_": f"{prefix}.AudioToMelSpectrogramPreprocessor"},
        "encoder": {"_target_": f"{prefix}.NewEncoder"},
        "decoder": {"_target_": f"{prefix}.ConvASRDecoder"},
    }
    with pytest.raises(UnsupportedModelError, match="QuartzNet, Jasper, Citrinet, Conformer and FastConformer"):
        check_classes(ConfigSection(config, "config"))
    new = EncoderFamily(("New",), (f"{prefix}.NewEncoder",), attention=True, builder="math:sqrt")
    monkeypatch.setattr(registry, "FAMILIES", (*FAMILIES, new))
    assert check_classes(ConfigSection(config, "config")) == "EncDecCTCModel"
    assert registry.family_titles(attention_only=True) == "Conformer, FastConformer and New"
