"""Fields that many requests and answers share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from domain.origin import iso as iso

REASON_LENGTH = 1_000
WORD_LENGTH = 200
"""Most characters in the name of a system or of a feature."""

_MOST_FIELDS = 50
ID_PATTERN = "^[0-9a-f]{24}$"
KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"

Time = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    Field(json_schema_extra={"example": "2025-10-28T09:30:00.123Z"}),
]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Reason = Annotated[
    StrictStr | None,
    Field(max_length=REASON_LENGTH, description="Why; kept with the change for ever"),
]


def camel_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under the names that JSON has for them; inner names may be data, and stay."""
    return {
        name[:1] + name.title().replace("_", "")[1:] if "_" in name else name: value
        for name, value in fields.items()
    }


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few(cls, body: Any) -> Any:
        """Each unknown field is an error of its own, and a hundred thousand would take a while."""
        if isinstance(body, dict) and len(body) > _MOST_FIELDS:
            message = "The body has {count} fields; it takes {fields} and nothing else"
            fields = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "too_many_fields", message, {"count": len(body), "fields": fields}
            )
        return body
