"""Steps of several views in one transaction."""

from collections.abc import Sequence
from typing import Any

from domain.errors import StoreUnavailable
from infrastructure.sqlite.database import SQLiteDatabase
from infrastructure.sqlite.views import SQLiteView
from projections.running.projection import ViewStep


def take_together(
    database: SQLiteDatabase, steps: Sequence[ViewStep[Any]]
) -> Sequence[Exception | None]:
    """`TakeSteps`. There is one writer at a time, and most of a short transaction is its end: so
    all views share one. If it fails, each step is tried on its own, to find the one to blame."""
    try:
        with database.writing(lasting=False) as connection:
            for step in steps:
                assert isinstance(step.view, SQLiteView)
                step.view.write(step.change, step.fence, connection)
    except StoreUnavailable as error:
        return [error] * len(steps)
    except Exception:
        return [step.take() for step in steps]
    return [None] * len(steps)
