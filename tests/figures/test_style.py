import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from leaplib.base.errors import InputError
from leaplib.figures import style

# Machado et al. 2009, severity 1, on linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}  # fmt: skip


def lab(colour, vision="full"):
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ linear / [0.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def smallest_gap(points):
    return min(np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i])


@pytest.mark.parametrize("vision", VISION)
def test_models_differ_to_every_eye(vision):
    groups = (style.MODELS, style.CONTROLS)
    models, controls = ([lab(style.COLOURS[name], vision) for name in names] for names in groups)
    assert smallest_gap(models) > 10
    assert min(np.linalg.norm(model - control) for model in models for control in controls) > 9


def test_models_and_controls_differ_in_grey():
    for names in (style.MODELS, style.CONTROLS):
        assert smallest_gap([lab(style.COLOURS[name])[:1] for name in names]) > 5.5
    for control in style.CONTROLS:
        assert len(set(to_rgb(style.COLOURS[control]))) == 1


def test_representations_lighten_in_even_steps():
    lightness = [lab(style.representation_colour(i))[0] for i in range(5)]
    assert (np.diff(lightness) > 10).all()


def test_members_have_the_colour_of_their_model():
    assert style.colour("PS-LASSO r3") == style.COLOURS["PS-LASSO"]
    assert style.colour("something else") == style.MUTED


def test_order_puts_controls_first_and_keeps_unknown_names():
    names = ["Label reproducibility", "LEAP", "scVI", "PS-KNN", "Tissue mean", "LEAP"]
    assert style.model_order(names) == ["Tissue mean", "scVI", "PS-KNN", "LEAP", "Label reproducibility"]


@pytest.mark.parametrize("size", [(184, 60), (89, 248), (0, 60)])
def test_a_figure_that_no_page_holds_is_refused(size):
    with pytest.raises(InputError, match="183 x 247 mm"):
        style.figure(*size)


def test_type_is_between_5_and_7_points():
    with style.context():
        for key in ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "legend.fontsize"):
            assert 5 <= matplotlib.rcParams[key] <= 7
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert matplotlib.rcParams["svg.fonttype"] == "none"


def test_adapted_holds_within_its_block_alone():
    before, settings = (dict(style.SETTINGS), dict(style.COLOURS)), dict(matplotlib.rcParams)
    with style.adapted({"font.family": ["serif"], "axes.labelsize": 6}, {"LEAP": "#000000", "mine": "#123456"},
                       type_size=7):  # fmt: skip
        assert (style.colour("LEAP"), style.colour("mine")) == ("#000000", "#123456")
        with style.context():
            assert matplotlib.rcParams["font.family"] == ["serif"]
            assert [matplotlib.rcParams[key] for key in ("axes.labelsize", "xtick.labelsize")] == [6, 7]
    assert before == (style.SETTINGS, style.COLOURS) and list(style.COLOURS) == list(before[1])
    style.figure(89, 50)
    assert dict(matplotlib.rcParams) == settings
    with pytest.raises(ZeroDivisionError), style.adapted(colours={"LEAP": "#000000"}):
        raise ZeroDivisionError
    assert before[1] == style.COLOURS


def test_head_has_a_letter_and_a_note_that_keep_clear_of_the_title():
    fig, ax = style.figure(89, 60)
    title = "a title as wide as the panel, that the note must not cover, however long\nn = 3"
    style.head(ax, title, "A", "simulated")
    letter, note = ax.texts
    assert (letter.get_text(), letter.get_fontsize(), letter.get_fontweight()) == ("A", 8, "bold")
    assert (note.get_text(), ax.get_title(loc="left")) == ("simulated data", title)
    fig.canvas.draw()
    page, box = fig.bbox, note.get_window_extent()
    assert box.y0 >= ax._left_title.get_window_extent().y1
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and box.y1 <= page.y1
    _, bare = style.figure(89, 60)
    style.head(bare, title)
    assert not bare.texts


@pytest.mark.parametrize(("number", "plural", "text"), [
    (1, "genes", "1 gene"),
    (1539, "genes", "1,539 genes"),
    (1, "subsets of PDX", "1 subset of PDX"),
])  # fmt: skip
def test_counted(number, plural, text):
    assert style.counted(number, plural) == text


def test_wrap_keeps_counts_whole():
    assert style.wrap("one two three", 10, 6) == "one two\nthree"
    assert "1,000 genes" in style.wrap("12 samples, 1,000\u00a0genes", 15, 5).split("\n")


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="lacks column 'value'"):
        style.checked(pd.DataFrame({"model": ["LEAP"]}), ("model", "value"))
    assert list(style.checked(pd.DataFrame(), ("model", "value"))) == ["model", "value"]
