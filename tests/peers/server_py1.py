"""The small server of the tests, made with the official Python SDK 1.30, which knows only the earlier revisions.

    python server_py1.py                       over stdio
    python server_py1.py --listen 127.0.0.1:0  over Streamable HTTP and HTTP+SSE; prints one JSON line with both urls
    ... --stateless                            Streamable HTTP without sessions
    ... --revision 2025-03-26                  knows this revision and no other
"""

import argparse
import asyncio
import functools

from mcp import types
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.lowlevel import NotificationOptions
from mcp.shared.message import ServerMessageMetadata
from pydantic import BaseModel

from pin import pin
from world import listen, world

parser = argparse.ArgumentParser()
parser.add_argument("--listen")
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--revision")
options = parser.parse_args()
if options.revision:
    pin(options.revision)

server = FastMCP("server_py1", stateless_http=options.stateless)
GREETING = "test://greeting"


@server.tool()
def echo(message: str) -> str:
    """Says what it is told."""
    return message


@server.tool()
async def steps(ctx: Context, key: str, count: int = 1) -> str:
    """Reports each step once the one before was opened."""
    return await world.steps(ctx.report_progress, key, count)


@server.tool()
async def open(key: str) -> str:
    """Opens the next step."""
    return world.open(key)


@server.tool()
async def ended(key: str) -> str:
    """Waits until those steps were cancelled."""
    return await world.ended(key)


@server.tool()
async def sample(ctx: Context) -> str:
    """Asks the client's model."""
    content = types.TextContent(type="text", text="What?")
    message = types.SamplingMessage(role="user", content=content)
    answer = await ctx.session.create_message([message], max_tokens=10, related_request_id=ctx.request_id)
    return answer.content.text


class Answer(BaseModel):
    name: str


@server.tool()
async def elicit(ctx: Context) -> str:
    """Asks the user."""
    answer = await ctx.elicit("What is your name?", Answer)
    return f"hello, {answer.data.name}"


@server.tool()
async def visit(ctx: Context) -> str:
    """Sends the user to a page."""
    answer = await ctx.elicit_url("Look at this.", "https://example.com/page", "page")
    return answer.action


@server.tool()
async def roots(ctx: Context) -> str:
    """Asks where the client works."""
    # `session.list_roots` does not say for which call it asks.
    related = ServerMessageMetadata(related_request_id=ctx.request_id)
    request = types.ServerRequest(types.ListRootsRequest())
    answer = await ctx.session.send_request(request, types.ListRootsResult, metadata=related)
    return str(answer.roots[0].uri)


@server.tool()
async def log(ctx: Context) -> str:
    """Logs a line."""
    await ctx.info("a line")
    return "logged"


@server.tool()
async def touch(ctx: Context) -> str:
    """Says that the greeting has changed."""
    await ctx.session.send_resource_updated(GREETING)
    return "touched"


@server.tool()
async def grow(ctx: Context) -> str:
    """Says that the list of tools has changed."""
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool()
def measure(text: str) -> str:
    """Tells how long a text is."""
    return str(len(text))


@server.tool(structured_output=False)
def fill(size: int) -> str:
    """A text of this length."""
    return "x" * size


@server.resource(GREETING, mime_type="text/plain")
def greeting() -> str:
    """A resource."""
    return "hello"


@server.prompt()
def review(code: str) -> str:
    """A prompt."""
    return f"Review this: {code}"


# The SDK has a place for subscriptions one floor below.
@server._mcp_server.subscribe_resource()
async def subscribe(_uri):
    pass


# It says at the beginning that its tools may change, since `grow` says so later. FastMCP has no place for that either.
below = server._mcp_server
below.create_initialization_options = functools.partial(
    below.create_initialization_options, NotificationOptions(tools_changed=True)
)

if options.listen:
    asyncio.run(listen(options.listen, server.streamable_http_app(), server.sse_app()))
else:
    server.run("stdio")
