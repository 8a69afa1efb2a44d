import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "figure_samples", Path(__file__).with_name("samples.py")
)
assert _spec is not None and _spec.loader is not None
_samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_samples)

KINDS = ("heatmap", "lines", "bars", "tokens", "table", "graph", "panel")


@pytest.fixture(scope="session")
def samples():
    return _samples


@pytest.fixture(params=KINDS)
def figure(request):
    return _samples.every_figure()[request.param]
