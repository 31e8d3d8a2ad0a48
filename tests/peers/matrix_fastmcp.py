"""The client of FastMCP 4.1 in the matrix; see matrix.py. Below its own client stands the SDK's session."""

import asyncio
import contextlib

from fastmcp import Client as Sdk
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp.shared.exceptions import MCPError

from matrix import fields, line, main, texts
from matrix_py2 import Call, hear, watching


async def complete(_messages, _params, _context):
    return "a canned completion"


async def fill_in(_message, _type, params, _context):
    if not hasattr(params, "requested_schema"):
        return ElicitResult(action="accept")
    return ElicitResult(action="accept", content=fields(params.requested_schema))


class Client:
    def __init__(self, client):
        self.client, self.revision = client, client.protocol_version

    async def tools(self):
        return sorted(tool.name for tool in await self.client.list_tools())

    async def resources(self):
        return sorted(str(one.uri) for one in await self.client.list_resources())

    async def prompts(self):
        return sorted(one.name for one in await self.client.list_prompts())

    async def read(self, uri):
        return (await self.client.read_resource(uri))[0].text

    async def get(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.text

    async def call(self, name, arguments, on_progress=None):
        async def report(progress, _total, _message):
            on_progress(progress)

        watch = report if on_progress else None
        return texts(await self.client.call_tool(name, arguments, progress_handler=watch))

    async def begin(self, name, arguments, on_progress):
        return Call(asyncio.ensure_future(self.call(name, arguments, on_progress)))

    async def tell_all(self):
        # In 2026-07-28 each request says so. A server that has not heard of levels logs everything.
        if self.revision < "2026":
            with contextlib.suppress(MCPError):
                await self.client.set_logging_level("debug")

    def watching(self, uri):
        return watching(self.client.session, self.revision, uri)


@contextlib.asynccontextmanager
async def connect(cell, inbox):
    transport = (SSETransport if cell["transport"] == "sse" else StreamableHttpTransport)(cell["url"])
    async def hear_log(message):
        inbox.put(line(message.data))

    sdk = Sdk(
        transport,
        mode=cell["mode"],
        sampling_handler=complete,
        elicitation_handler=fill_in,
        roots=["file:///home/matrix"],
        log_handler=hear_log,
        message_handler=hear(inbox),
    )
    async with sdk as client:
        yield Client(client)


main(connect)
