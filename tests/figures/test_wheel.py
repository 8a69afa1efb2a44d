import tomllib
from importlib.resources import files
from pathlib import Path

BUILT = {"figures.js", "figures.css"}


def test_the_script_and_the_styles_are_there_and_nothing_else():
    folder = files("residuum.figures") / "static"
    assert {item.name for item in folder.iterdir()} == BUILT


def test_the_wheel_holds_the_script_and_the_styles():
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["residuum"]
    held = {path for pattern in patterns for path in (root / "src/residuum").glob(pattern)}
    needed = {root / "src/residuum/figures/static" / name for name in BUILT}
    mend = 'add "figures/static/*" to [tool.setuptools.package-data] residuum in pyproject.toml'
    assert needed <= held, mend
