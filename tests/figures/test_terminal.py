import numpy as np
import pytest

from residuum.figures import Column, HeatMap, Table, terminal_heatmap, terminal_table


@pytest.fixture
def table():
    columns = [Column("head"), Column("effect", "logits", digits=2), Column("n")]
    return Table(columns, [["L9.z[H6]", 2.5, 64], ["[bold]x[/]", -11.25, 7], ["c", None, 1234]])


def test_numbers_are_aligned_on_the_right(table):
    lines = terminal_table(table, width=80, colour=False).split("\n")
    assert "effect (logits)" in lines[0]
    ends = [
        line.index(text) + len(text)
        for line, text in zip(lines[2:], ["2.50", "-11.25", "–"], strict=True)
    ]
    assert len(set(ends)) == 1 == len({len(line) for line in lines[2:]})
    assert lines[3].startswith("[bold]x[/]")  # markup in a cell is text


def test_no_escape_codes_without_colour(table, monkeypatch):
    assert "\x1b" not in terminal_table(table, width=80, colour=False)
    assert "\x1b" not in terminal_table(table, width=80)  # under a test, stdout is no terminal
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in terminal_table(table, width=80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in terminal_table(table, width=80)


def test_width_is_kept(table):
    for width in (20, 34, 60):
        assert max(map(len, terminal_table(table, width, colour=False).split("\n"))) <= width


def test_heatmap_as_plain_text():
    figure = HeatMap([[1.0, -0.25], [np.nan, 0.5]], ["L0", "L1"], ["H0", "H1"], unit="logits")
    lines = terminal_heatmap(figure, width=60, colour=False).split("\n")
    assert lines[0].split() == ["H0", "H1"]
    assert lines[1].split() == ["L0", "1.00", "-0.25"]
    assert lines[2].split() == ["L1", "·", "0.50"]
    assert lines[3] == "-1 to 1 logits"
    assert len({len(line) for line in lines[:3]}) == 1


def test_heatmap_in_colour_shows_the_palette():
    text = terminal_heatmap(HeatMap([[1.0, -1.0]]), width=60, colour=True)
    assert "48;2;10;55;107" in text  # the blue end
    assert "48;2;127;45;4" in text  # the orange end


def test_columns_that_do_not_fit_are_counted():
    figure = HeatMap(np.zeros((2, 40)), x="position", y="layer")
    lines = terminal_heatmap(figure, width=40, colour=False).split("\n")
    assert lines[-1] == "33 more columns do not fit"
    assert max(map(len, lines)) <= 40


def test_cell_texts_stand_before_their_values():
    figure = HeatMap([[0.98, -0.001]], cell_text=[[" Mary", "a\nb"]])
    assert terminal_heatmap(figure, 60, False).split("\n")[1].split() == [
        "0",
        "Mary",
        "0.98",
        "a⏎b",
        "0.00",
    ]


def test_wide_letters_keep_the_columns_aligned():
    from rich.cells import cell_len

    figure = HeatMap([[1.0, 2.0], [3.0, 4.0]], ["日本", "L1"], ["東京", "b"])
    lines = terminal_heatmap(figure, 60, False).split("\n")
    assert len({cell_len(line) for line in lines[:3]}) == 1
