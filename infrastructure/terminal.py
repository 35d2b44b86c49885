"""Text of any author, made safe for an operator's terminal."""

import re
from typing import Final

_CREDENTIALS: Final = re.compile(
    r"""eyJ[\w-]+\.[\w-]+\.[\w-]*           # a token
    | (?<=://)[^\s/"']+(?=@)               # name and password in an address
    | (?<![^\s"'(=])[^\s/:"'(]+:[^\s/"']+(?=@)  # the same without a scheme
    | (?<=[Bb]earer\ )[^\s"',]+             # any other bearer credential
    | (?<=[Pp]assword=)[^\s&"']+            # an option of an address
    | (?<=AWS_SESSION_TOKEN:)[^\s&,"']+
    """,
    re.VERBOSE,
)


def printable(text: str, keep: str = "") -> str:
    """The text with invisible characters escaped, except those in `keep`: text from callers must
    not move the cursor of an operator's terminal, or look like a line of its own."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def masked(text: str) -> str:
    """The text with every credential in it replaced."""
    return _CREDENTIALS.sub("[masked]", text)
