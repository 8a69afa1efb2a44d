"""Dictionaries of other tools' files: theirs load here, ours load there, and reconstruct alike.

Each peer runs in its own environment: ``python benchmarks/dictionary_formats.py --setup`` makes
``.peers/NAME`` for each (needs PyPI), or ``--envs FOLDER`` names a folder that holds them. Without
one its rows say so and the script ends with 1. Nothing is fetched from the hub.

    python benchmarks/dictionary_formats.py [--setup] [--envs FOLDER] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
PEERS = {
    "saelens": "sae-lens==6.54.12",
    "dictionary_learning": "dictionary-learning==0.1.0",
    "sparsify": "eai-sparsify==1.3.3",
    "circuit_tracer": "circuit-tracer==0.5.0",
}
SIDES = {
    **{name: (name, name) for name in PEERS},
    "gemma_scope@saelens": ("gemma_scope", "saelens"),
    "gemma_scope_2@saelens": ("gemma_scope_2", "saelens"),
    "gemma_scope@circuit_tracer": ("gemma_scope", "circuit_tracer"),
    "gemma_scope_2@circuit_tracer": ("gemma_scope_2", "circuit_tracer"),
}
"""Who reads what: side -> format and environment. No tool writes Gemma Scope's files: "theirs" are
written as published, and read by the tool's own loader (``dictionary_formats_gemma.py``)."""
D, N, K, ROWS = 24, 96, 6, 256
WITHIN = 1e-5
"""Largest difference of a reconstruction, relative to the largest entry."""


@dataclass(frozen=True)
class Row:
    """One file, one direction.

    Attributes:
        format, case: whose files, and which kind of dictionary.
        direction: ``"theirs here"`` or ``"ours there"``.
        difference: the largest one of the reconstructions, relative to the largest entry.
        l0_here, l0_there: active latents in a row.
    """

    format: str
    case: str
    direction: str
    difference: float
    l0_here: float
    l0_there: float

    @property
    def equal(self) -> bool:
        return self.difference <= WITHIN and abs(self.l0_here - self.l0_there) < 1e-9


def environment(envs: Path, name: str) -> Path | None:
    """The Python of a peer's environment; None where there is none."""
    python = envs / name / "bin" / "python"
    return python if python.exists() else None


def set_up(envs: Path) -> None:
    """Make the environments that are missing."""
    for name, package in PEERS.items():
        if environment(envs, name) is None:
            subprocess.run([sys.executable, "-m", "venv", str(envs / name)], check=True)
            pip = [str(envs / name / "bin" / "python"), "-m", "pip"]
            torch_too = f"torch=={torch.__version__.split('+')[0]}"
            subprocess.run([*pip, "install", "--quiet", torch_too, package], check=True)
            # no peer's coder needs it, and one built for another torch breaks the import
            subprocess.run([*pip, "uninstall", "--quiet", "--yes", "torchvision"], check=True)


def peer(python: Path, name: str, task: str, folder: Path) -> dict[str, Any]:
    """Run the peer's side of ``dictionary_formats_peer.py``; what it says at the end."""
    script = HERE / "dictionary_formats_peer.py"
    told = subprocess.run(
        [str(python), str(script), name, task, str(folder)],
        capture_output=True, text=True, timeout=900, env=_environment(),
    )  # fmt: skip
    if told.returncode:
        raise RuntimeError(f"{name} {task} failed:\n{told.stderr[-3000:]}")
    return json.loads(told.stdout.strip().splitlines()[-1])


def _environment() -> dict[str, str]:
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHON"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def theirs_here(python: Path, name: str, folder: Path, x: torch.Tensor) -> tuple[list[Row], str]:
    """Files that the peer writes, read here; and the peer's version."""
    import residuum.dictionaries as rd

    said = peer(python, name, "write", folder)
    rows = []
    for case in said["cases"]:
        place = folder / case
        expected = load_file(folder / f"{case}.expected.safetensors")
        at = None if name == "saelens" else ("L2.ln2", "L2.mlp_out")
        if "@" in name and "transcoder" not in case:
            at = "L2.resid_post"
        path = place / "ae.pt" if (place / "ae.pt").exists() else place
        if name == "dictionary_learning" or (name == "sparsify" and "transcoder" not in case):
            at = "L2.resid_post"
        if case == "embedding":  # Gemma Scope 1 says it in its path, and it changes the scale
            path = _moved(place, folder / "gemma-scope-2b-pt-res" / "embedding" / "width_4k")
            at = None
        found = rd.load_dictionary(path, at=at)
        rows.append(_row(name, case, "theirs here", found, x, expected))
    return rows, said["version"]


def _moved(place: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True)
    return place.rename(to)


def ours_there(python: Path, name: str, folder: Path, x: torch.Tensor) -> list[Row]:
    """Files that are written here, read and run by the peer."""
    import residuum.dictionaries as rd

    made = {}
    for case, dictionary in dictionaries().items():
        try:
            rd.convert_dictionary(dictionary, folder / case, format=SIDES[name][0])
        except rd.convert.OptionError:
            continue  # the peer has no such kind; that it is refused is tested elsewhere
        if name.endswith("@circuit_tracer") and "transcoder" not in case:
            continue  # it reads transcoders only
        made[case] = dictionary
    (folder / "cases.json").write_text(json.dumps(list(made)))
    peer(python, name, "read", folder)
    return [
        _row(
            name, case, "ours there", each, x,
            load_file(folder / f"{case}.expected.safetensors"),
        )
        for case, each in made.items()
    ]  # fmt: skip


def _row(name: str, case: str, direction: str, found: Any, x: Any, expected: Any) -> Row:
    ours, theirs = found.reconstruct(x), expected["out"]
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    l0 = float((found.encode(x) != 0).sum(-1).double().mean())
    return Row(name, case, direction, difference, l0, float(expected["l0"]))


def dictionaries() -> dict[str, Any]:
    """One of each kind, of random tensors."""
    import residuum.dictionaries as rd

    made = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=made) * 0.3

    def one(activation: Any, tied: bool, transcoder: bool = False, skip: bool = False) -> Any:
        b_dec = draw(1, D)
        vectors = {name: draw(N) for name in activation.needs}
        if "threshold" in vectors:
            vectors["threshold"] = draw(1).abs().expand(N).clone()
        return rd.Dictionary(
            reads="L2.ln2" if transcoder else "L2.resid_post",  # type: ignore[arg-type]
            writes="L2.mlp_out" if transcoder else "L2.resid_post",  # type: ignore[arg-type]
            W_enc=draw(1, D, N), W_dec=draw(N, 1, D), b_dec=b_dec,
            b_in=b_dec.clone() if tied else None, W_skip=draw(D, D) if skip else None,
            activation=activation, model_name="gpt2", **vectors,
        )  # fmt: skip

    kinds = {"relu": rd.ReLU(), "topk": rd.TopK(K), "batchtopk": rd.BatchTopK(K),
             "jumprelu": rd.JumpReLU(), "gated": rd.Gated()}  # fmt: skip
    found = {}
    for name, kind in kinds.items():
        found[f"{name}"] = one(kind, tied=False)
        found[f"{name}_tied"] = one(kind, tied=True)
        found[f"{name}_transcoder"] = one(kind, tied=False, transcoder=True)
        found[f"{name}_skip_transcoder"] = one(kind, tied=False, transcoder=True, skip=True)
    return found


def measure(envs: Path) -> tuple[list[Row], dict[str, str]]:
    """Every peer that has an environment."""
    rows, versions = [], {}
    x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(3)) + 0.2
    for name, (_, tool) in SIDES.items():
        python = environment(envs, tool)
        if python is None:
            print(f"{name}: no environment in {envs}; run with --setup")
            continue
        with tempfile.TemporaryDirectory(prefix="formats-") as folder:
            here, there = Path(folder) / "theirs", Path(folder) / "ours"
            for each in (here, there):
                each.mkdir()
                save_file({"x": x}, each / "x.safetensors")
            found, versions[tool] = theirs_here(python, name, here, x)
            rows += found + ours_there(python, name, there, x)
    return rows, versions


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--envs", type=Path, default=HERE.parent / ".peers")
    options.add_argument("--setup", action="store_true")
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    if given.setup:
        set_up(given.envs)
    torch.set_num_threads(1)
    rows, versions = measure(given.envs)
    for row in rows:
        verdict = "equal" if row.equal else "DIFFERS"
        print(
            f"{row.format:28} {row.case:26} {row.direction:12} {row.difference:.1e}  "
            f"L0 {row.l0_here:.2f} / {row.l0_there:.2f}  {verdict}"
        )
    wrong = [row for row in rows if not row.equal]
    print(f"{len(rows)} files, {len(wrong)} differ by more than {WITHIN}; {versions}")
    if given.out is not None:
        record = {"versions": versions, "within": WITHIN, "rows": [asdict(row) for row in rows]}
        given.out.write_text(json.dumps(record, indent=1))
    return 1 if wrong or len(versions) < len(PEERS) else 0


if __name__ == "__main__":
    raise SystemExit(main())
