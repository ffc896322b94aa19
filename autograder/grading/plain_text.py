"""Text from outside, made harmless once where it comes in: names of folders, errors, what people wrote."""

from __future__ import annotations

import re
import unicodedata

# Control characters, half characters, and those that show nothing, break a line unseen or turn the reading
# direction.  Joiners (U+200C, U+200D) stay: names and emoji are written with them.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """``text`` with characters that would hide, or turn the reading direction, shown by their number."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def told(text: str, most: int) -> str:
    """``visible`` text of at most so many characters."""
    shown = visible(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def one_line(text: str, most: int = 200) -> str:
    """Text on one line, as a terminal and a cell of a table show it."""
    return told(" ".join(text.split()), most)


def name_of(folder: str) -> str:
    """The name of a student's folder as it is shown and written everywhere, whatever bytes it has.

    Nothing else of it changes: "ann" and "ann " are two students.
    """
    return INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", folder).translate(
        {ord("\n"): "[U+000A]", ord("\t"): "[U+0009]"}
    )


def alike(name: str) -> str:
    """What names have in common that a person cannot tell apart: case, outer spaces, composed accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()
