"""A small server made with the official Python SDK, which speaks both eras.

    python server_py.py                       over stdio
    python server_py.py --listen 127.0.0.1:0  over Streamable HTTP; prints one JSON line with its url once it listens
    ... --stateless                           HTTP without sessions
    ... --sse                                 the transport of 2024-11-05 instead
"""

import argparse
import asyncio
import json
import socket
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

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


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("as asked")


@server.resource("test://greeting", mime_type="text/plain")
def greeting() -> str:
    """A resource."""
    return "hello"


@server.prompt()
def review(code: str) -> str:
    """A prompt."""
    return f"Review this: {code}"


async def listen(options):
    host, port = options.listen.rsplit(":", 1)
    bound = socket.create_server((host, int(port)))
    app = server.sse_app() if options.sse else server.streamable_http_app(stateless_http=options.stateless)
    path = "/sse" if options.sse else "/mcp"
    # The socket listens already: whoever reads this line can connect.
    print(json.dumps({"fact": "listening", "url": f"http://{host}:{bound.getsockname()[1]}{path}"}), flush=True)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0))
    await running.serve(sockets=[bound])


parser = argparse.ArgumentParser()
parser.add_argument("--listen")
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--sse", action="store_true")
options = parser.parse_args()
if options.listen:
    asyncio.run(listen(options))
else:
    server.run("stdio")
