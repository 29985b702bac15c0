"""The URL of a Redis, which may name a file with the password: redis://host:6379/0?password_file=/run/redis/password.

The file is read when a connection is made, so that a password that is made anew is taken.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_NAME = "password_file"


class FilePassword:
    """What redis-py asks for credentials: the file's text without white space around it. Raises `OSError`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get_credentials(self) -> tuple[str]:
        """The password alone."""
        return (self._file.read_text().strip(),)

    async def get_credentials_async(self) -> tuple[str]:
        """The same, for connections of asyncio."""
        return self.get_credentials()


def split(url: str) -> tuple[str, FilePassword | None]:
    """The URL as redis-py reads it, and where its password is, if the URL names a file."""
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    files = [value for name, value in asked if name == _NAME]
    if not files:
        return url, None
    query = urlencode([(name, value) for name, value in asked if name != _NAME])
    return urlunsplit(parts._replace(query=query)), FilePassword(Path(files[-1]))
