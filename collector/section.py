"""What every table of the settings is made of."""

from typing import Annotated

from msgspec import Meta, Struct

Port = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):\d{1,5}$")]
UrlPath = Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._~/-]+$")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file."""
