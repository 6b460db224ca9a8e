"""All hostile and damaged `.nemo` files by name. Every one of them must be refused in one sentence."""

from __future__ import annotations

from support.hostile_archives import Recipe, archives, damaged, zip_files
from support.hostile_configs import configs
from support.hostile_conformers import conformers, subwords
from support.hostile_weights import pickle_files, tensor_files


def hostile_files() -> dict[str, Recipe]:
    """All of them by name; a name occurs once."""
    files: dict[str, Recipe] = {}
    for group in (damaged, archives, configs, conformers, subwords, tensor_files, pickle_files, zip_files):
        for name, recipe in group():
            key = f"{group.__name__}: {name}"
            assert key not in files, key
            files[key] = recipe
    return files
