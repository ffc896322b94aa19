"""Shows a figure in a notebook as a picture, whatever matplotlib's backend is."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel or in IPython."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` as PNG, with ``alt`` as its text alternative; needs IPython.

    JupyterLab does not hand the alternative of a PNG on to the page, so the same picture goes in HTML too.
    """
    from IPython.display import display
    from matplotlib import pyplot

    pyplot.close(figure)  # else the inline backend shows it once more
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    picture = base64.b64encode(drawn.getvalue()).decode()
    data = {
        "image/png": picture,
        "text/html": f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{picture}">',
        "text/plain": alt,
    }
    display(data, metadata={"image/png": {"alt": alt}}, raw=True)
