"""Makes a server of the official Python SDK 2.3 know one era and not the other, in this process.

The SDK has no word for it: what it would serve in one way goes where it serves the other, and is refused there.
"""

from mcp.server import runner, streamable_http_manager

Manager = streamable_http_manager.StreamableHTTPSessionManager


def forget_earlier_revisions():
    async def over_http(self, scope, receive, send):
        settings, json, state = self.security_settings, self.json_response, self._lifespan_state
        await streamable_http_manager.handle_modern_request(self.app, settings, json, state, scope, receive, send)

    async def over_stdio(server, read, write, *, lifespan_state, raise_exceptions, **_legacy):
        more = {"lifespan_state": lifespan_state, "raise_exceptions": raise_exceptions}
        await runner._serve_modern_stream(server, read, write, **more)

    Manager._handle_request = over_http
    runner._serve_legacy_stream = over_stdio


def forget_2026_07_28():
    async def over_http(self, scope, receive, send):
        await self._handle_stateful_request(scope, receive, send)

    Manager._handle_request = over_http
