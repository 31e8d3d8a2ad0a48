"""The official Python client 2.3 in the matrix; see matrix.py."""

import asyncio
import contextlib
import os
import warnings

import mcp_types as types
from mcp import Client as Sdk
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.client.subscriptions import listen
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from matrix import fields, line, main, reference, texts

# What is deprecated since 2026-07-28 is what the revisions before it have.
warnings.simplefilter("ignore", MCPDeprecationWarning)


async def complete(_context, _params):
    content = types.TextContent(type="text", text="a canned completion")
    return types.CreateMessageResult(role="assistant", model="canned", stop_reason="endTurn", content=content)


async def fill_in(_context, params):
    if isinstance(params, types.ElicitRequestURLParams):
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content=fields(params.requested_schema))


async def name_roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/matrix")])


class Call:
    def __init__(self, task):
        self.task = task

    async def cancel(self):
        self.task.cancel()
        await asyncio.wait([self.task])


def hear(inbox):
    async def hear(message):
        match message:
            case types.ResourceUpdatedNotification(params=params):
                inbox.put(str(params.uri))
            case types.ToolListChangedNotification():
                inbox.put("tools")

    return hear


@contextlib.asynccontextmanager
async def watching(session, revision, uri):
    """Subscribes in the way of the revision; in both, what is heard goes through the session's message handler."""
    if revision >= "2026":
        wanted = {"resource_subscriptions": [uri]} if uri else {"tools_list_changed": True}
        async with listen(session, **wanted):
            yield
    else:
        if uri:
            await session.subscribe_resource(uri)
        yield


class Client:
    def __init__(self, client):
        self.client, self.revision = client, client.protocol_version

    async def tools(self):
        return sorted(tool.name for tool in (await self.client.list_tools()).tools)

    async def resources(self):
        return sorted(str(one.uri) for one in (await self.client.list_resources()).resources)

    async def prompts(self):
        return sorted(one.name for one in (await self.client.list_prompts()).prompts)

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text

    async def get(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.text

    async def page(self, listing, cursor):
        lists = {
            "tools": self.client.list_tools,
            "prompts": self.client.list_prompts,
            "resources": self.client.list_resources,
            "resourceTemplates": self.client.list_resource_templates,
        }
        return await lists[listing](cursor=cursor)

    async def whole(self, of, params):
        match of:
            case "call":
                return await self.client.call_tool(params["name"], params["arguments"])
            case "read":
                return await self.client.read_resource(params["uri"])
            case "get":
                return await self.client.get_prompt(params["name"], params["arguments"])
            case "complete":
                return await self.client.complete(reference(types, params["ref"]), params["argument"])

    async def call(self, name, arguments, on_progress=None):
        async def report(progress, _total, _message):
            on_progress(progress)

        watch = report if on_progress else None
        return texts(await self.client.call_tool(name, arguments, progress_callback=watch))

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
    match cell:
        case {"command": [command, *args], "environment": environment}:
            transport = StdioServerParameters(command=command, args=args, env=dict(os.environ) | environment)
        case {"transport": "sse", "url": url}:
            transport = sse_client(url)
        case {"url": transport}:
            pass

    async def hear_log(params):
        inbox.put(line(params.data))

    sdk = Sdk(
        transport,
        mode=cell["mode"],
        sampling_callback=complete,
        elicitation_callback=fill_in,
        list_roots_callback=name_roots,
        logging_callback=hear_log,
        log_level="debug",
        message_handler=hear(inbox),
    )
    async with sdk as client:
        yield Client(client)


if __name__ == "__main__":
    main(connect)
