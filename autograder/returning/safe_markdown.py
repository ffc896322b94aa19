"""What a student wrote, as HTML that can do nothing: Markdown and formulas, without a tag of its own.

Every tag comes from here or from the renderer's fixed set, every attribute from ``ATTRIBUTES``.  Formulas
become MathML, which browsers draw without a script; those that cannot be read stay TeX.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from autograder.grading.plain_text import visible

LENGTH, FORMULA = 20_000, 3_000  # characters that are set as Markdown, as a formula; more stays plain text
TAGS = {
    "math",
    "mrow",
    "mi",
    "mn",
    "mo",
    "mtext",
    "mspace",
    "mfrac",
    "msqrt",
    "mroot",
    "msub",
    "msup",
    "msubsup",
    "munder",
    "mover",
    "munderover",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
}
ATTRIBUTES = {
    "display": "block|inline",
    "displaystyle": "true|false",
    "scriptlevel": r"[-+]?\d",
    "mathvariant": "normal",
    "accent": "true|false",
    "accentunder": "true|false",
    "stretchy": "true|false",
    "fence": "true|false",
    "form": "prefix|infix|postfix",
    "separator": "true|false",
    "linethickness": "0|0em|0px",
    "columnalign": "(?:left|right|center| )+",
    "width": r"[0-4]?\.?\d+em",
    "minsize": r"\d(?:\.\d+)?em",
    "maxsize": r"\d(?:\.\d+)?em",
}
DEFINITIONS = re.compile(r"\\(?:\w*command|\w?def|let|DeclareMathOperator|newenvironment)\b")
OFF = ["link", "image", "autolink", "html_inline", "html_block", "reference"]


def prose(text: str) -> Markup:
    """Markdown with formulas as HTML."""
    text = visible(text)
    if len(text) > LENGTH:
        return Markup('<pre class="plain">{}</pre>').format(text)
    try:
        return Markup(_markdown().render(text))
    except Exception:  # brackets in brackets, or what else the renderer stumbles over
        return Markup('<pre class="plain">{}</pre>').format(text)


def formula(tex: str, display: bool = False) -> Markup:
    """A formula as MathML, or as it was written where that fails."""
    shown = _mathml(tex.strip(), display)
    if shown is None:
        shown = Markup('<code class="tex">{}</code>').format(tex.strip())
    return Markup('<span class="display" tabindex="0">{}</span>').format(shown) if display else shown


@cache
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 40}).enable(["table", "strikethrough"])
    reader.use(dollarmath_plugin, allow_labels=False, allow_digits=False, double_inline=True)
    reader.use(amsmath_plugin)
    reader.disable(OFF)
    for name in ("math_inline", "math_inline_double", "math_block", "amsmath"):
        reader.add_render_rule(name, _formula_token(name != "math_inline", name in ("math_block", "amsmath")))
    for name in ("fence", "code_block"):
        reader.add_render_rule(name, lambda _, tokens, i, *rest: _block(tokens[i].content))
    reader.core.ruler.push("plain", _plain)
    return reader


def _formula_token(display: bool, block: bool) -> Any:
    def render(_: Any, tokens: Sequence[Any], i: int, *rest: Any) -> str:
        shown = formula(tokens[i].content, display)
        return f"<p>{shown}</p>\n" if block else str(shown)

    return render


def _block(code: str) -> str:
    return f"<pre><code>{escape(code)}</code></pre>\n"


def _plain(state: Any) -> None:
    """Take every attribute away, and make headings paragraphs: those of the page are its own."""
    for token in state.tokens:
        token.attrs = {}
        if token.type in ("heading_open", "heading_close"):
            token.tag = "p"
            token.attrs = {"class": "heading"} if token.type == "heading_open" else {}
        for child in token.children or ():
            child.content = visible(child.content)  # an entity may stand for anything


# --- formulas ------------------------------------------------------------------------------------------


@lru_cache(4096)
def _mathml(tex: str, display: bool) -> Markup | None:
    if len(tex) > FORMULA or DEFINITIONS.search(tex):  # a definition can make a formula as long as it likes
        return None
    tex = re.sub(r"(\\(?:begin|end)\{)(?:aligned|split|gathered|eqnarray\*?|multline\*?)\}", r"\1align*}", tex)
    try:
        root = convert_to_element(tex, display="block" if display else "inline")
    except Exception:  # of the library's own many kinds, for TeX that it cannot read
        return None
    try:
        return Markup("".join(_written(root)))
    except RecursionError:
        return None


def _written(element: Element) -> Any:
    """``element`` as text, in the tags and attributes that draw formulas and do nothing else."""
    tag = element.tag if element.tag in TAGS else "mrow"
    kept = [
        f' {name}="{value}"'
        for name, value in sorted(element.attrib.items())
        if name in ATTRIBUTES and re.fullmatch(ATTRIBUTES[name], value)
    ]
    yield f"<{tag}{''.join(kept)}>"
    if element.text:
        yield str(escape(visible(html.unescape(element.text))))
    for child in element:
        yield from _written(child)
    yield f"</{tag}>"
