"""One figure of each kind, with text that wants to break out and values that are impossible."""

from residuum.figures import (
    Bars,
    Box,
    Column,
    Guide,
    HeatMap,
    LayeredGraph,
    Lines,
    Link,
    Measured,
    Panel,
    Series,
    Table,
    TokenStrip,
)

EVIL = '</script><script>alert(1)</script><b onload="x">\'&'
NAN = float("nan")


def heatmap(**changes) -> HeatMap:
    fields = {
        "values": [[0.5, NAN, -2.0], [1.0, 0.25, 0.0]],
        "row_labels": ["L0", EVIL],
        "col_labels": ["The", " cat", EVIL],
        "x": "position",
        "y": EVIL,
        "unit": "logits",
        "title": EVIL,
        "caption": EVIL,
        "does_not_show": EVIL,
        "cell_text": [[EVIL, "$x$ $y$", ""], ["a", "b", "c"]],
    }
    return HeatMap(**{**fields, **changes})


def every_figure():
    return {
        "heatmap": heatmap(),
        "lines": Lines(
            [0, 1, 2],
            [
                Series(EVIL, [1.0, NAN, 3.0], [0.5, NAN, 2.0], [2.0, NAN, 4.0]),
                Series("b", [0, 1, 2]),
            ],
            x=EVIL,
            y="effect",
            unit="logits",
            x_labels=["L0", EVIL, "L2"],
            guides=[Guide(0.0, EVIL)],
            title=EVIL,
        ),
        "bars": Bars(
            ["a", EVIL, "c"], [1.0, -2.0, NAN], [0.5, -2.5, NAN], [1.5, -1.5, NAN], unit="logits"
        ),
        "tokens": TokenStrip(["The", EVIL, "\n"], [0.5, -1.0, NAN], ids=[1, 2, 3], title=EVIL),
        "table": Table(
            [Column(EVIL), Column("effect", "logits", digits=2), "n"],
            [[EVIL, 1.5, 64], ["b", None, 7], ["c", -0.001, 123]],
            title=EVIL,
        ),
        "graph": LayeredGraph(
            [Box("a", EVIL, 0), Box(EVIL, "$b$", 1, 1), Box("c", "c", 2)],
            [Link(0, 1, -2.0, -0.9, EVIL), Link(0, 2, 0.5), Link(1, 2)],
            ["", EVIL, "top"],
            shown=2,
            total=9,
            unit="logits",
            measured=Measured(EVIL, [1, 3], [0.5, 0.9], [0.4, NAN], [0.6, NAN]),
            title=EVIL,
        ),
        "panel": Panel([heatmap(title=f"H{i}") for i in range(3)], columns=2, title=EVIL),
    }
