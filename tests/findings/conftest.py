"""One model and one finding for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import residuum as rz
from residuum.findings import Finding
from residuum.models.embedded import build_gpt2, save_folder
from residuum.runs import Model
from residuum.worlds import microworld_vocabulary, tokenizer_config, tokenizer_json


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model that has microworld's words."""
    folder = tmp_path_factory.mktemp("random")
    words = microworld_vocabulary()
    torch.manual_seed(0)
    model = build_gpt2(d_vocab=len(words), context=64, layers=2, heads=4, d_model=32)
    save_folder(model, folder, tokenizer_json(words), tokenizer_config(64))
    return folder


@pytest.fixture(scope="session")
def random_model(random_folder: Path) -> Model:
    return rz.load(str(random_folder))


@pytest.fixture(scope="session")
def model() -> Model:
    return rz.load("microworld")


@pytest.fixture(scope="session")
def finding(model: Model) -> Finding:
    """The core of the chain; further stages have tests of their own."""
    return rz.investigate(model, "ioi", stages=())


@pytest.fixture(scope="session")
def folder(finding: Finding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finding, saved."""
    folder = tmp_path_factory.mktemp("saved")
    finding.save(folder)
    return folder
