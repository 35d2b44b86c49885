"""An example of a route."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """A request to a route and its answer, as JSON; an answer that is no JSON is text.

    `parameters` holds path and query parameters by name. Together with a service that holds one
    ticket they make a request that works.
    """

    answer: Any = None
    body: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
