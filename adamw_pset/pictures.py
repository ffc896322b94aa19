"""Shows a figure in a notebook as a picture, whatever matplotlib's backend is."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel or in IPython."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` as PNG, with ``alt`` as its text alternative; needs IPython."""
    from IPython.display import Image, display

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    display(Image(drawn.getvalue(), alt=alt))
