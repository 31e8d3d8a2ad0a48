"""The small server of the tests, made with the official Python SDK 1.30, which knows only the earlier revisions.

    python server_py1.py                       over stdio
    python server_py1.py --listen 127.0.0.1:0  over Streamable HTTP and HTTP+SSE; prints one JSON line with both urls
"""

import argparse
import asyncio

from mcp import types
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

from world import listen, world

server = FastMCP("server_py1")
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


parser = argparse.ArgumentParser()
parser.add_argument("--listen")
options = parser.parse_args()
if options.listen:
    asyncio.run(listen(options.listen, server.streamable_http_app(), server.sse_app()))
else:
    server.run("stdio")
