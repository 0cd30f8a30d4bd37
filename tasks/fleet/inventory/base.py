"""What every key of an inventory is made of."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
#: With its registry: the chart's global.imageRegistry replaces the part before the first slash.
Reference = Annotated[str, Field(pattern=r"^[^/\s]+/\S+$")]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError(f"{value!r} is not a day such as '2027-01-31'") from None


def listed(value: Any) -> Any:
    """One name is a list of one."""
    return [value] if isinstance(value, str) else value
