"""Which store a test over HTTP runs on, where both would say the same."""

from typing import Final

import pytest

one_store: Final = pytest.mark.parametrize("served", ["sqlite"], indirect=True)
"""Run on SQLite alone: the request is refused before any store is asked."""
