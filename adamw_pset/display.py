"""Shows figures in a notebook as pictures, whatever matplotlib's backend is, and sliders that redraw them."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import sys
from collections.abc import Callable, Iterator
from textwrap import wrap
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


# Of a figure: in a dark theme, white without a border would glare, and end at its letters.
CARD = "background: white; padding: 10px; border-radius: 10px; box-sizing: border-box; max-width: 100%"


class Told(Exception):
    """Something is amiss that one line can tell: a notebook shows the line in the place of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return wrap(str(self), 88)


class StillOpen(Told, NotImplementedError):
    """A question that has to be answered first."""


@contextlib.contextmanager
def kindly() -> Iterator[None]:
    """In a notebook, one line for an interrupt, for what is not there yet, and for what does not fit."""
    try:
        yield
    except KeyboardInterrupt:
        raise Told("Stopped. Finished runs are kept: run this cell again, and it goes on from there.") from None
    except NameError as error:
        place, name = _raised_in(error), error.name
        missing = f"{name} is not there yet: run the cells above, from top to bottom."
        raise Told(missing if place == "<module>" else f"{place}: {error}.") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        unwritten = error if isinstance(error, NotImplementedError) else error.__cause__
        if isinstance(unwritten, NotImplementedError):
            raise StillOpen(
                f"{_raised_in(unwritten)} is still open: fill in its cell and run it, then this one."
            ) from error
        said = " ".join(str(error).split())
        if "ellipsis" in said.lower():  # what stands for a function whose cell has not run
            raise StillOpen(
                f"A function is still open, so fill in its cell and run it, then this one ({said})."
            ) from error
        place = _function_of_the_notebook(error)
        raise Told(f"{place}: {said}" if place else said) from error


def _function_of_the_notebook(error: BaseException) -> str:
    """The name of the notebook's function in which ``error`` arose; "" for one that this package raised."""
    name = ""
    for frame, _ in walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module == "__main__":
            name = frame.f_code.co_name
        elif module.startswith("adamw_pset"):
            name = ""
    return "" if name == "<module>" else name


def _raised_in(error: BaseException) -> str:
    """The name of the function that raised ``error``."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_code.co_name


def say(text: str) -> None:
    """Print ``text``, with "?" in the place of what the encoding of the screen does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel or in IPython."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` as PNG on a white card, with ``alt`` as its text alternative; needs IPython.

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
        "text/html": f'<img alt="{html.escape(alt)}" style="{CARD}" src="data:image/png;base64,{picture}">',
        "text/plain": alt,
    }
    display(data, metadata={"image/png": {"alt": alt}}, raw=True)


def sliders(redraw: Callable[..., None], **axes: tuple[str, NDArray[np.float64]]) -> Any:
    """A slider for each argument of ``redraw``: its label, and the values to choose from, at the middle one.

    ``None`` without ipywidgets.
    """
    try:
        import ipywidgets
    except ImportError:
        return None

    def redrawn(**values: float) -> None:
        with kindly():
            redraw(**values)

    class Sliders(ipywidgets.interactive):  # type: ignore[misc]
        def __repr__(self) -> str:  # what a page shows that was opened without its kernel
            return "Two sliders and a figure: run this cell to see them."

    print("The sliders live as long as the kernel: in a notebook that you open again, run this cell again.")

    def slider(label: str, values: NDArray[np.float64]) -> Any:
        options = [(f"{value:.2g}", float(value)) for value in values]
        middle = options[len(options) // 2][1]
        return ipywidgets.SelectionSlider(
            options=options, value=middle, description=label, continuous_update=False, layout={"width": "420px"}
        )

    return Sliders(redrawn, **{name: slider(*axis) for name, axis in axes.items()})
