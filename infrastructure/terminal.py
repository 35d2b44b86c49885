"""Text of others on an operator's terminal."""


def printable(text: str, keep: str = "") -> str:
    """The text with what cannot be seen escaped, except the characters in `keep`: what callers
    wrote must not move an operator's cursor, or look like a line of its own."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
