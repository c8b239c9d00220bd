"""uvicorn's HTTP protocol, which answers requests with ``Upgrade`` as if they had none.

A server may do so (RFC 9110, 7.8), and Java's HttpClient and ``curl --http2`` count on it: with
their first request they offer to go on in HTTP/2. httptools, however, takes such a request to end
with its headers; uvicorn then loses the body, or reads it as another request
(https://github.com/Kludex/uvicorn/issues/2722).
"""

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class UpgradeIgnoringProtocol(HttpToolsProtocol):
    """Parses a request with ``Upgrade`` a second time, without that header."""

    def parse(self, data: bytes) -> None:
        """Parse what came, in place of uvicorn's ``data_received``.

        That one warns of what clients do wrong, from the event loop: where nobody reads standard
        error, they could stop the service with it.

        Raises:
            HttpParserError: It is no HTTP, or the callbacks have refused it.
        """
        self._unset_keepalive_if_required()

        while data:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                (position,) = upgrade.args
                data = self._head_without_upgrade() + data[position:]

            # With uvicorn's leniency: what comes behind a last request does not harm its answer.
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the request is parsed again."""
        if not self.parser.should_upgrade():
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":
            # Means an upgrade even without the header: it would be parsed again for ever.
            raise ValueError("CONNECT is for proxies")

    def on_message_complete(self) -> None:
        """End the body, unless the request is parsed again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
