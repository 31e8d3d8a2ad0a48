"""The small server of the tests, made with the official Python SDK 2.3, which speaks both eras.

    python server_py.py                       over stdio
    python server_py.py --listen 127.0.0.1:0  over Streamable HTTP and HTTP+SSE; prints one JSON line with both urls
    ... --stateless                           Streamable HTTP without sessions
    ... --modern-only                         knows 2026-07-28 and no other revision
"""

import argparse
import asyncio
from typing import Annotated

import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from pydantic import BaseModel

from one_era import forget_earlier_revisions
from world import listen, world

GREETING = "test://greeting"
server = MCPServer("server_py", version="2.3.0", instructions="A server for tests.")


@server.tool()
def echo(message: str) -> str:
    """Says what it is told."""
    return message


@server.tool()
async def progress(ctx: Context, steps: int = 3) -> str:
    """Reports each of its steps."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return f"{steps} steps"


@server.tool()
def header(ctx: Context, name: str) -> str:
    """The value of a request header, as it arrived here; empty over stdio."""
    return (ctx.headers or {}).get(name, "")


class Answer(BaseModel):
    name: str


async def ask_name() -> Elicit[Answer]:
    return Elicit("What is your name?", Answer)


@server.tool()
async def elicit(answer: Annotated[Answer, Resolve(ask_name)]) -> str:
    """Asks the user, in the way of whichever era the client speaks."""
    return f"hello, {answer.name}"


async def ask_model() -> Sample:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="What?"))
    return Sample([message], max_tokens=10)


@server.tool()
async def sample(answer: Annotated[types.CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model, in the way of whichever era the client speaks."""
    return answer.content.text


async def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
async def roots(answer: Annotated[types.ListRootsResult, Resolve(ask_roots)]) -> str:
    """Asks where the client works, in the way of whichever era the client speaks."""
    return str(answer.roots[0].uri)


@server.tool()
async def visit(ctx: Context) -> str | types.InputRequiredResult:
    """Sends the user to a page, in the way of whichever era the client speaks."""
    page = "https://example.com/page"
    if not is_modern(ctx):
        return (await ctx.elicit_url("Look at this.", page, "page")).action
    if ctx.input_responses:
        return ctx.input_responses["user"].action
    request = types.ElicitRequest(params=types.ElicitRequestURLParams(message="Look at this.", url=page))
    return types.InputRequiredResult(input_requests={"user": request})


@server.tool()
async def log(ctx: Context) -> str:
    """Logs a line."""
    await ctx.info("a line")
    return "logged"


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


def is_modern(ctx: Context) -> bool:
    return ctx.protocol_version >= "2026"


@server.tool()
async def touch(ctx: Context) -> str:
    """Says that the greeting has changed."""
    await (ctx.notify_resource_updated if is_modern(ctx) else ctx.session.send_resource_updated)(GREETING)
    return "touched"


@server.tool()
async def grow(ctx: Context) -> str:
    """Says that the list of tools has changed."""
    await (ctx.notify_tools_changed if is_modern(ctx) else ctx.session.send_tool_list_changed)()
    return "grown"


@server.tool()
def measure(text: str) -> str:
    """Tells how long a text is."""
    return str(len(text))


@server.tool(structured_output=False)
def fill(size: int) -> str:
    """A text of this length."""
    return "x" * size


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("as asked")


@server.resource(GREETING, mime_type="text/plain")
def greeting() -> str:
    """A resource."""
    return "hello"


@server.prompt()
def review(code: str) -> str:
    """A prompt."""
    return f"Review this: {code}"


# The SDK has a place for the subscriptions of earlier revisions one floor below.
async def subscribe(_ctx, _params):
    return types.EmptyResult()


server._lowlevel_server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)

parser = argparse.ArgumentParser()
parser.add_argument("--listen")
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--modern-only", action="store_true")
options = parser.parse_args()
if options.modern_only:
    forget_earlier_revisions()
if options.listen:
    http = server.streamable_http_app(stateless_http=options.stateless)
    asyncio.run(listen(options.listen, http, server.sse_app()))
else:
    server.run("stdio")
