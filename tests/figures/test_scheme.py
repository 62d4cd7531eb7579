from itertools import combinations

from leaplib.figures import scheme, style


def test_texts_do_not_overlap_and_stay_on_the_page():
    fig, ax = style.figure(style.TWO_COLUMNS, scheme.HEIGHT)
    with style.context():
        fig.set_layout_engine("constrained", w_pad=0, h_pad=0)
        assert scheme.scheme(ax) is ax
        fig.canvas.draw()
    extents = [(text.get_text(), text.get_window_extent()) for text in ax.texts if text.get_text()]
    for name, box in extents:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1, name
    for (name, box), (other, second) in combinations(extents, 2):
        assert not box.padded(-1).overlaps(second), (name, other)


def test_five_representations_and_five_folds():
    _, ax = style.figure(style.TWO_COLUMNS, scheme.HEIGHT)
    scheme.scheme(ax)
    written = [text.get_text() for text in ax.texts]
    assert [text for text in written if text.startswith("seed")] == [f"seed {i}" for i in range(1, 6)]
    assert written.count("mean") == 6
    held_out = [patch for patch in ax.patches if style.to_hex(patch.get_facecolor()) == style.INK
                and patch.get_height() == scheme.STRIP]  # fmt: skip
    assert len(held_out) == 25
