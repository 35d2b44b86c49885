"""Text from callers on an operator's terminal."""


def printable(text: str, keep: str = "") -> str:
    """The text with invisible characters escaped, except those in `keep`: text from callers must
    not move the cursor of an operator's terminal, or look like a line of its own."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
