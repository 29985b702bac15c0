"""An upstream data service behind HTTP: the request is the body of a POST, the reply that of the answer."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from tunesmith.errors import Internal
from tunesmith.storage.sources.source import Market, Row
from tunesmith.storage.sources.upstream import MAX_REPLY_BYTES, PAGE_BARS, decode_reply, encode_request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        """Bars come from the address that was set, and from no other."""


class HttpUpstream:
    """The service at `address`, an http or https URL. No proxy, no redirects."""

    page_bars = PAGE_BARS
    empty_is_end = True

    def __init__(self, address: str, timeout_s: float = 10.0) -> None:
        self.address, self.timeout_s = address, timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        """See `Source.fetch`."""
        body = encode_request(market, start_ms, end_ms, limit)
        request = urllib.request.Request(  # noqa: S310 - the scheme is http or https, see SOURCES
            self.address, body, {"content-type": "application/json"}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                found = answer.read(MAX_REPLY_BYTES + 1)
        except urllib.error.HTTPError as error:
            found = error.read(MAX_REPLY_BYTES + 1)
            error.close()
            if not found.startswith(b"{"):
                raise Internal(f"{self.address} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Internal(f"{self.address} does not answer: {error}") from error
        if len(found) > MAX_REPLY_BYTES:
            raise Internal(f"{self.address} answers with more than {MAX_REPLY_BYTES:,} bytes")
        return decode_reply(found, self.address)
