"""The LaTeX of a finding compiles, where there is a LaTeX."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from residuum.figures import Heading, Part, Table
from residuum.findings import Finding
from residuum.findings.report.latex import latex_tables

EVIL = r"100 % of a_b & c#d $x$ {y} ~z ^w \q <s> a|b [1, 2] *star* \end{table} é 猫 -1 “q”"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(finding: Finding, tmp_path: Path) -> None:
    (tmp_path / "tables.tex").write_text(finding.to_latex(), encoding="utf-8")
    parts: list[Part] = [Heading(EVIL), Table([EVIL, "n"], [[EVIL, 1], ["[1]", 2]], caption=EVIL)]
    (tmp_path / "evil.tex").write_text("\n".join(latex_tables(parts, "x")), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
        r"\begin{document}\input{tables}\input{evil}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 10_000
