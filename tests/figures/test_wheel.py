import tomllib
from importlib.resources import files
from pathlib import Path

from residuum.figures.markup import SCRIPTS


def test_the_script_and_the_styles_are_there():
    folder = files("residuum.figures") / "static"
    for name in (*SCRIPTS, "figures.css", "dark.css"):
        assert (folder / name).is_file()


def test_the_wheel_holds_the_script_and_the_styles():
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["residuum"]
    held = {path for pattern in patterns for path in (root / "src/residuum").glob(pattern)}
    needed = {path for path in (root / "src/residuum/figures/static").iterdir()}
    mend = 'add "figures/static/*" to [tool.setuptools.package-data] residuum in pyproject.toml'
    assert needed <= held, mend
