"""Write the table of docs/families.md from the family rows and from the self-check.

Run it from the repository: ``python docs/make_families.py`` (``--check`` only compares). Every row
is a tiny random model of ``tests/families/configs.py``, loaded in float32 with the full self-check.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE / "families.md"
START, END = "<!-- table: begin -->\n", "<!-- table: end -->"
WIRINGS = {"sequential": "sequential", "parallel": "parallel", "post_norm_encoder": "post-norm"}
ALWAYS_OPTIONAL = {
    "pos_embed": "no learned positions",
    "mlp_lin": "MLP not gated",
    "router": "no experts",
    "expert_out": "no experts",
}


def main() -> int:
    """Write or compare the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(START)
    new = head + START + table() + END + rest.split(END, 1)[1]
    if options.check:
        if new != text:
            print("docs/families.md is out of date: run python docs/make_families.py")
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


def table() -> str:
    """The table in Markdown, one row for each tiny model."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(HERE.parent / "tests" / "families"))
    from configs import CONFIGS

    lines = [
        "| tiny model | `model_type` | wiring | attention door | MLP | norms behind sub-layers | "
        "key/value heads | refused sites | seam |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [row(name, *CONFIGS[name]) for name in CONFIGS]
    return "\n".join(lines) + "\n"


def row(name: str, model_type: str, options: dict[str, Any]) -> str:
    """One line of the table, from what the self-check found."""
    from configs import build

    import residuum as rz

    model = rz.load(build(name))
    report, dims, family = model.report, model.dims, model.adapted.family
    assert report is not None
    layer = model.adapted.parts.layers[0]
    kinds = sorted({each.mlp_kind for each in model.adapted.parts.layers})
    grouped = dims.n_kv_heads != dims.n_heads
    post = layer.wiring == "sequential" and layer.post_attn_norm is not None
    cells = (
        f"`{name}`",
        f"`{model_type}`",
        WIRINGS[layer.wiring],
        "attention interface" if family.door == "interface" else "module",
        ", ".join(kind.replace("_", " ") for kind in kinds),
        "yes" if post else "no",
        f"{dims.n_kv_heads} of {dims.n_heads}" if grouped else "all",
        ", ".join(sorted({each.split(".")[-1] for each in report.refused})) or "none",
        "proven" if report.seam_proven else "not proven",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
