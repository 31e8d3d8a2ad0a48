"""The small server of the tests, made with FastMCP 4.1, which speaks both eras.

    python server_fastmcp.py                       over stdio
    python server_fastmcp.py --listen 127.0.0.1:0  over Streamable HTTP and HTTP+SSE; prints one JSON line with both urls
"""

import argparse
import asyncio

import mcp_types as types
from fastmcp import Context, FastMCP

from world import listen, world

server = FastMCP("server_fastmcp")


@server.tool
def echo(message: str) -> str:
    """Says what it is told."""
    return message


@server.tool
async def steps(ctx: Context, key: str, count: int = 1) -> str:
    """Reports each step once the one before was opened."""
    return await world.steps(ctx.report_progress, key, count)


@server.tool
async def open(key: str) -> str:
    """Opens the next step."""
    return world.open(key)


@server.tool
async def ended(key: str) -> str:
    """Waits until those steps were cancelled."""
    return await world.ended(key)


@server.tool
async def sample(ctx: Context) -> str:
    """Asks the client's model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="What?"))
    answer = await ctx.session.create_message([message], max_tokens=10, related_request_id=ctx.request_id)
    return answer.content.text


@server.tool
async def elicit(ctx: Context) -> str:
    """Asks the user."""
    answer = await ctx.elicit("What is your name?", str)
    return f"hello, {answer.data}"


@server.tool
async def log(ctx: Context) -> str:
    """Logs a line."""
    await ctx.info("a line")
    return "logged"


@server.tool
async def touch(ctx: Context) -> str:
    """Says that the greeting has changed."""
    params = types.ResourceUpdatedNotificationParams(uri="test://greeting")
    await ctx.send_notification(types.ResourceUpdatedNotification(params=params))
    return "touched"


@server.tool
async def grow(ctx: Context) -> str:
    """Says that the list of tools has changed."""
    await ctx.send_notification(types.ToolListChangedNotification())
    return "grown"


@server.tool
def measure(text: str) -> str:
    """Tells how long a text is."""
    return str(len(text))


@server.tool(output_schema=None)
def fill(size: int) -> str:
    """A text of this length."""
    return "x" * size


@server.resource("test://greeting", mime_type="text/plain")
def greeting() -> str:
    """A resource."""
    return "hello"


@server.prompt
def review(code: str) -> str:
    """A prompt."""
    return f"Review this: {code}"


parser = argparse.ArgumentParser()
parser.add_argument("--listen")
options = parser.parse_args()
if options.listen:
    asyncio.run(listen(options.listen, server.http_app(path="/mcp"), server.http_app(path="/sse", transport="sse")))
else:
    server.run("stdio", show_banner=False)
