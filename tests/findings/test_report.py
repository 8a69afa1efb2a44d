"""The report in its media: what stands on top, what is said of hand-worded and stated claims."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import residuum as rz
from residuum.figures import (
    Bars,
    Bullets,
    Callout,
    Columns,
    Figure,
    Fold,
    Heading,
    HeatMap,
    Lines,
    Paragraph,
    Part,
    Series,
    Table,
)
from residuum.findings import Finding
from residuum.findings.record.evidence import Estimate
from residuum.findings.record.specificity_evidence import (
    Loss,
    OtherTask,
    SpecificityEvidence,
    TextLoss,
)
from residuum.findings.report.attention_pictures import last_token_map
from residuum.findings.report.closing_report import data_parts
from residuum.findings.report.figure_tables import as_table, flat
from residuum.findings.report.latex import latex_table, latex_tables
from residuum.findings.report.markdown import markdown
from residuum.findings.report.page import report_html
from residuum.findings.report.sections import report_parts
from residuum.findings.report.specificity_report import specificity_parts
from residuum.runs import Model

EVIL = r"100 % of a_b & c#d $x$ {y} ~z ^w \q <s> a|b [1, 2] *star* `code` \end{table} é 猫 -1 “q”"


@pytest.fixture(scope="module")
def stated(model: Model) -> Finding:
    """Parts that a caller stated: a head and an MLP."""
    return rz.examine(model, "ioi", ["L1.z[H3]", "L1.mlp_out"], stages=())


def shown(finding: Finding) -> str:
    """The page without style and script."""
    return re.sub(r"<(style|script)\b.*?</\1>", "", report_html(finding), flags=re.S)


def test_the_claim_leads_and_falsifier_and_limits_stand_before_the_evidence(
    finding: Finding,
) -> None:
    page = shown(finding)
    top, _, rest = page.partition('<nav class="rz-contents"')
    first = ["rz-badge", "On 32 held-out ioi prompts", "For example", "What would refute it"]
    places = [top.index(text) for text in [*first, "What it does not say"]]
    assert places == sorted(places)
    body = rest.partition("</nav>")[2]
    heads = [
        "Does the model do it?", "Where can the answer be read, and moved from?", "Which heads?",
        "Which heads write the answer?", "What do they look at?", "Would any heads do?",
        "Rules that decide", "The data", "Run it again",
    ]  # fmt: skip
    places = [body.index(text) for text in heads]
    assert places == sorted(places)
    for limit in finding.limits:
        assert limit in top


def test_an_example_says_what_the_behaviour_is_whatever_its_words(finding: Finding) -> None:
    pair = finding.samples[0]
    page = shown(finding).partition("What would refute it")[0]
    for text in (pair.clean, pair.corrupt, pair.says_corrupt):
        assert escape(text.strip()) in page
    odd = replace(pair, clean=EVIL, answers=("*a*", " `b"))
    page = shown(replace(finding, samples=(odd, *finding.samples[1:])))
    assert "*star* code" in page and "“*a* or b”" in page
    assert "For example" not in shown(replace(finding, samples=()))


def test_a_claim_worded_by_hand_is_said_and_the_built_one_stands_beside(finding: Finding) -> None:
    edited = finding.with_claim("Four heads do it <all>.")
    page, built = shown(edited), finding.claim[:60]
    assert "worded by hand" in page and "Four heads do it &lt;all&gt;." in page
    assert page.index("Four heads do it") < page.index(built.replace("'", "&#x27;"))
    assert "worded by hand" not in shown(finding)
    assert "worded by hand" in edited.to_markdown() and finding.claim[:40] in edited.to_markdown()


def test_a_stated_mechanism_is_not_said_to_be_searched_for(stated: Finding) -> None:
    page = shown(stated)
    assert "stated by the caller, not searched for" in page
    assert "residuum examine" in page and "moved the answer most" not in page
    assert "Which parts?" in page and "other parts of the same kinds" in page


def test_an_undecided_finding_says_which_rule_is_open(finding: Finding) -> None:
    rules = tuple(
        replace(rule, outcome="unclear") if rule.name == "Enough" else rule
        for rule in finding.rules
    )
    page = shown(replace(finding, rules=rules, status="undecided"))
    assert "? Undecided" in page and "“Enough” is unclear" in page
    assert "✓ Supported" not in page


def test_saved_beside_each_other(folder: Path, finding: Finding) -> None:
    names = {"finding.json", "report.html", "report.md", "tables.tex"}
    assert {each.name for each in folder.iterdir()} == names
    assert finding.claim.split(": ")[0] in (folder / "report.md").read_text()
    assert (folder / "tables.tex").read_text() == finding.to_latex()


def outside(parts: Sequence[Part]) -> list[Part]:
    """What is seen while all folds are closed."""
    seen: list[Part] = []
    for part in parts:
        if isinstance(part, Columns):
            seen += [each for column in part.columns for each in outside(column)]
        elif not isinstance(part, Fold):
            seen.append(part)
    return seen


def test_what_a_reader_does_not_need_at_first_is_folded_and_nothing_is_lost(
    finding: Finding,
) -> None:
    parts = report_parts(finding, "finding.json")
    seen = [part.title for part in outside(parts) if isinstance(part, Figure)]
    every = [part.title for part in flat(parts) if isinstance(part, Figure)]
    assert len(seen) <= 10 and len(every) >= 2 * len(seen) - 4
    for first in ("Behaviour, with", "Every attention head", "The heads one by one", "Rules that"):
        assert any(title.startswith(first) for title in seen)
    for second in ("Most likely next word", "Attention of these heads", "Effect of giving one"):
        assert any(title.startswith(second) for title in every)
        assert not any(title.startswith(second) for title in seen)
    shut = [part for part in flat(parts) if isinstance(part, Fold) and not part.printed]
    assert len(shut) >= 5
    html = shown(finding)
    assert all(html.count(escape(title)) for title in every)


def test_what_it_is_about_is_open_and_conditions_are_folded(finding: Finding) -> None:
    conditions = tuple(f"{rule.name}: yes; it came." for rule in finding.rules[:2])
    whole = replace(finding, scope=(*finding.scope[:4], *conditions, "A note."))
    top = shown(whole).partition('<nav class="rz-contents"')[0]
    places = [top.index(escape(text)) for text in (whole.scope[3], "3 conditions", "A note.")]
    assert places == sorted(places)
    assert "conditions</summary>" not in shown(finding)


def test_pairs_are_two_rows_each(finding: Finding) -> None:
    tables = [part for part in flat(data_parts(finding)) if isinstance(part, Table)]
    rows = [row for table in tables for row in table.rows]
    assert [row[0] for row in rows] == ["clean", "corrupt"] * len(finding.samples)
    assert rows[1][1] == finding.samples[0].corrupt and rows[1][2] == rows[0][2]


def test_what_is_lost_without_a_circuit_is_told_of_its_edges_in_its_own_ways() -> None:
    loss = Loss("swapped", Estimate(0.97, 0.9, 1.0, 9), ())
    other = OtherTask("facts", 9, True, 4.0, "logits", (loss,), "needed")
    text = TextLoss(
        "a", 9, 99, Estimate(2.0, 1.9, 2.1, 9), Estimate(0.5, 0.4, 0.6, 9), (), "needed"
    )
    found = SpecificityEvidence("circuit", ("L0.z[H1]",), (loss,), (other,), text, ())
    page = "\n\n".join(markdown(specificity_parts(found, "ioi")))
    assert "without the circuit's edges" in page and "| 97 % [90, 100] |" in page
    assert "swapped: loses" in page and "at its mean: loses" not in page
    assert "at the corrupt prompt's value" in page and "parts" not in page


def test_the_last_token_of_each_head_is_a_row(finding: Finding) -> None:
    assert finding.roles is not None
    pictures = finding.roles.pictures
    figure = last_token_map(finding)
    assert figure.matrix.shape == (len(pictures), len(pictures[0].tokens))
    assert figure.matrix.sum(axis=1) == pytest.approx(1.0, abs=0.02)


def test_markdown_renders(finding: Finding) -> None:
    text = finding.to_markdown()
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<h1>") == 1 and html.count("<h2>") >= 8
    assert html.count("<table>") >= 8 and "<blockquote>" in html
    assert "&lt;s&gt;" in html and "**" not in re.sub(r"<code>.*?</code>", "", html)
    for row in re.findall(r"<tr>.*?</tr>", html, flags=re.S):
        assert row.count("<th") + row.count("<td") >= 2


def test_text_cannot_break_out_of_markdown() -> None:
    parts: list[Part] = [
        Heading(EVIL), Paragraph(f"# {EVIL}"), Bullets([EVIL]), Callout(EVIL, badge="yes"),
        Fold(EVIL, [Columns([[f"1. {EVIL}"]])]), Table([EVIL, "n"], [[EVIL, 1]], title=EVIL),
    ]  # fmt: skip
    html = MarkdownIt("commonmark").enable("table").render("\n\n".join(markdown(parts)))
    assert "<s>" not in html and "<em>" not in html and html.count("<table>") == 1
    assert html.count("<h1>") == 0 and html.count("<h2>") == 1 and "<ol" not in html
    assert len(re.findall(r"<t[hd]\b", html)) == 4
    assert html.count("&lt;s&gt; a|b [1, 2] *star* <code>code</code>") == 8
    assert html.count("<details>") == html.count("</details>") == html.count("<summary>") == 1
    assert "&lt;s&gt; a|b [1, 2] star code" in html.partition("<summary>")[2].partition("</s")[0]


def balanced(text: str) -> bool:
    """Braces and environments close in the order in which they open."""
    bare = re.sub(r"\\[\\{}]", "", text)
    depth = 0
    for each in bare:
        depth += (each == "{") - (each == "}")
        if depth < 0:
            return False
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    return depth == 0 and not opened


def test_text_cannot_break_out_of_latex() -> None:
    table = Table([EVIL, "n"], [[EVIL, 1], ["[1, 2]", -2.5]], title=EVIL, caption=EVIL)
    text = latex_table(table, "", "tab:x")
    assert balanced(text) and text.count(r"\end{table}") == 1
    assert r"\textbackslash{}end\{table\}" in text and r"a\_b \& c\#d \$x\$ \{y\}" in text
    assert r"\texttt{U+732B}" in text and "é" in text and "100~\\%" in text
    assert not re.search(r"(?<!\\)[%#&_](?!.*\\\\)", re.sub(r" & ", " ", text))
    assert balanced(r"\begin{a}{\{}\end{a}") and not balanced(r"\begin{a}{\end{a}")


def test_every_row_of_latex_has_as_many_cells(finding: Finding) -> None:
    text = finding.to_latex()
    assert balanced(text)
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, flags=re.S):
        cells = {len(re.findall(r"(?<!\\)&", row)) for row in body.split("\\\\\n") if row.strip()}
        assert len(cells) == 1
    labels = re.findall(r"\\label\{([^}]+)\}", text)
    assert len(labels) == len(set(labels)) >= 8


def test_a_table_taller_than_a_page_is_cut() -> None:
    long = Table(["a", "n"], [[f"row {i}", i] for i in range(100)], title="Long", caption="Why.")
    wordy = Table(["a", "b"], [["x", "many words " * 30] for _ in range(20)], title="Wordy")
    first, *middle, last = latex_tables([long], "x")
    assert len(middle) == 1 and r"\caption{Long (1 of 3).}" in first and "Why." in last
    assert [f"row {i} " in each for i in (0, 99) for each in (first, last)] == [1, 0, 0, 1]
    assert all(balanced(each) for each in (first, *middle, last))
    assert len(list(latex_tables([wordy], "x"))) > 1
    short = Table(["a"], [["x"]], title="Short")
    assert r"\caption{Short.}" in next(latex_tables([short], "x"))


def test_figures_whose_values_fit_are_tables() -> None:
    bars = as_table(Bars(["b", "a"], [1.0, 2.0], lo=[0.5, 1.5], hi=[1.5, 2.5], unit="logits"))
    assert bars is not None and bars.rows[0] == ("a", "2 [1.5, 2.5]")
    lines = as_table(Lines([0, 1], [Series("one", [1.0, float("nan")])], x="layer"))
    assert lines is not None and lines.rows == (("0", "1"), ("1", "–"))
    small = as_table(HeatMap([[0.25, None]], row_labels=["L0"], col_labels=["H0", "H1"]))
    assert small is not None and small.rows == (("L0", "0.25", "–"),)
    assert as_table(HeatMap([[0.0] * 40])) is None
