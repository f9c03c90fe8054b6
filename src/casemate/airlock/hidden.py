"""Characters that a reader does not see, or that turn what is read around.

Rules. Tab, line feed and carriage return are seen by their effect; every other control character, direction marks,
characters of no width and the invisible "tag" letters are not. Pure.
"""

from __future__ import annotations

import re

# C0 and C1 controls; soft hyphen; widthless spaces, joiners and marks; direction; variation selectors 1-15 and 17-256;
# tags. Variation selector 16 only makes an emoji of what is before it.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def hidden_character(text: str) -> str | None:
    """The first character of a text that is not seen, as "U+202E at character 12"."""
    found = _HIDDEN.search(text)
    return f"U+{ord(found[0]):04X} at character {found.start()}" if found else None


def hidden_matches(text: str) -> str:
    """Every character of a text that is not seen, in its order."""
    return "".join(_HIDDEN.findall(text))
