"""The official Python client 1.30 in the matrix; see matrix.py."""

import asyncio
import contextlib
import json
import sys

from mcp import ClientSession, McpError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl

from matrix import fields, line, main, reference, texts
from pin import pin


async def complete(_context, _params):
    content = types.TextContent(type="text", text="a canned completion")
    return types.CreateMessageResult(role="assistant", model="canned", stopReason="endTurn", content=content)


async def fill_in(_context, params):
    if isinstance(params, types.ElicitRequestURLParams):
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content=fields(params.requestedSchema))


async def name_roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///home/matrix")])


class Call:
    def __init__(self, session, request_id, task):
        self.session, self.request_id, self.task = session, request_id, task

    async def cancel(self):
        # This SDK leaves the notification to its user.
        params = types.CancelledNotificationParams(requestId=self.request_id, reason="as asked")
        notification = types.CancelledNotification(params=params)
        await self.session.send_notification(types.ClientNotification(notification))
        self.task.cancel()


class Client:
    def __init__(self, session, revision):
        self.session, self.revision = session, revision

    async def tools(self):
        return sorted(tool.name for tool in (await self.session.list_tools()).tools)

    async def resources(self):
        return sorted(str(one.uri) for one in (await self.session.list_resources()).resources)

    async def prompts(self):
        return sorted(one.name for one in (await self.session.list_prompts()).prompts)

    async def read(self, uri):
        return (await self.session.read_resource(AnyUrl(uri))).contents[0].text

    async def get(self, name, arguments):
        return (await self.session.get_prompt(name, arguments)).messages[0].content.text

    async def page(self, listing, cursor):
        params = types.PaginatedRequestParams(cursor=cursor)
        lists = {
            "tools": self.session.list_tools,
            "prompts": self.session.list_prompts,
            "resources": self.session.list_resources,
            "resourceTemplates": self.session.list_resource_templates,
        }
        return await lists[listing](params=params)

    async def whole(self, of, params):
        match of:
            case "call":
                return await self.session.call_tool(params["name"], params["arguments"])
            case "read":
                return await self.session.read_resource(AnyUrl(params["uri"]))
            case "get":
                return await self.session.get_prompt(params["name"], params["arguments"])
            case "complete":
                return await self.session.complete(reference(types, params["ref"]), params["argument"])

    async def call(self, name, arguments, on_progress=None):
        async def report(progress, _total, _message):
            on_progress(progress)

        watch = report if on_progress else None
        return texts(await self.session.call_tool(name, arguments, progress_callback=watch))

    async def begin(self, name, arguments, on_progress):
        request_id = self.session._request_id
        return Call(self.session, request_id, asyncio.ensure_future(self.call(name, arguments, on_progress)))

    async def tell_all(self):
        # A server that has not heard of levels logs everything.
        with contextlib.suppress(McpError):
            await self.session.set_logging_level("debug")

    @contextlib.asynccontextmanager
    async def watching(self, uri):
        if uri:
            await self.session.subscribe_resource(AnyUrl(uri))
        yield


@contextlib.asynccontextmanager
async def connect(cell, inbox):
    async def hear(message):
        match getattr(message, "root", None):
            case types.ResourceUpdatedNotification(params=params):
                inbox.put(str(params.uri))
            case types.ToolListChangedNotification():
                inbox.put("tools")

    async def hear_log(params):
        inbox.put(line(params.data))

    transport = (sse_client if cell["transport"] == "sse" else streamable_http_client)(cell["url"])
    async with transport as (read, write, *_):
        callbacks = {
            "sampling_callback": complete,
            "elicitation_callback": fill_in,
            "list_roots_callback": name_roots,
            "logging_callback": hear_log,
            "message_handler": hear,
        }
        async with ClientSession(read, write, **callbacks) as session:
            greeting = await session.initialize()
            yield Client(session, greeting.protocolVersion)


# Its mode is the one revision that it shall know, or none.
mode = json.loads(sys.argv[1])["cells"][0]["mode"]
if mode != "legacy":
    pin(mode)
main(connect)
