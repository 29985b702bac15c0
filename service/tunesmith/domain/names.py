"""Names and ids as requests write them: types that msgspec checks."""

from __future__ import annotations

from typing import Annotated

import msgspec

Id = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}(?![\s\S])", description="1 to 64 of A-Z a-z 0-9 . _ : -")
]
"""An id or a name made by a client."""

Symbol = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,31}(?![\s\S])", description="such as BTC/USDT")
]
Venue = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}(?![\s\S])")]
Timeframe = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,3}[smhdw](?![\s\S])", description="such as 5m, 1h, 1d")]
Date = Annotated[str, msgspec.Meta(max_length=40, description="ISO 8601, UTC; a bare end day is inclusive")]
CalendarName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=120, description='such as 24/7, "09:30-16:00 America/New_York", XNYS')
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Label = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]{1,64}(?![\s\S])",
        description="1 to 64 printable characters",
    ),
]
"""What a user calls a task. Control characters are refused: terminals and logs show it."""

GivenLabel = Label | msgspec.UnsetType | None
"""A label in a request. One that is left out is not encoded, so that such a request has the bytes it always had."""

Version = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,20}(?![\s\S])")]
