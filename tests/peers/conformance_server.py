"""What the conformance suite asks of a server, made with the official Python SDK 2.3, for both eras.

    python conformance_server.py     over Streamable HTTP; prints one JSON line with its url once it listens
    ... --modern-only                knows 2026-07-28 and no other revision
    ... --legacy-only                knows every revision but that

The names, texts and shapes are the suite's (`conformance list`, and the description of each scenario). It is the
measure that the gateway is held against: what passes here has to pass through the gateway.
"""

import asyncio
import functools
import json
import socket
import sys
import warnings

import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning

from conformance_asking import Missing
from conformance_tools import PNG, bus, prompts, tools
from one_era import forget_2026_07_28, forget_earlier_revisions

# What is deprecated since 2026-07-28 is what the suite asks of the revisions before it.
warnings.simplefilter("ignore", MCPDeprecationWarning)


async def list_tools(_ctx, _params):
    return types.ListToolsResult(tools=[listed for listed, _ in tools.values()])


async def call_tool(ctx, params):
    if params.name not in tools:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    try:
        return await tools[params.name][1](ctx, params)
    except Missing as missing:
        return missing.result


async def list_prompts(_ctx, _params):
    return types.ListPromptsResult(prompts=[listed for listed, _ in prompts.values()])


async def get_prompt(ctx, params):
    if params.name not in prompts:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    try:
        return await prompts[params.name][1](ctx, params)
    except Missing as missing:
        return missing.result


STATIC = [
    ("test://static-text", "Static text", "text/plain"),
    ("test://static-binary", "Static image", "image/png"),
    ("test://watched-resource", "Can be subscribed to", "text/plain"),
]


async def list_resources(_ctx, _params):
    resources = [
        types.Resource(uri=uri, name=uri.removeprefix("test://"), description=words, mime_type=kind)
        for uri, words, kind in STATIC
    ]
    return types.ListResourcesResult(resources=resources)


async def list_templates(_ctx, _params):
    template = types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="Tells its parameter",
        mime_type="application/json",
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(_ctx, params):
    uri = params.uri
    of_template = uri.removeprefix("test://template/").removesuffix("/data")
    if uri == "test://static-text":
        content = ("text/plain", "This is the content of the static text resource.")
    elif uri == "test://watched-resource":
        content = ("text/plain", "This is watched.")
    elif uri == f"test://template/{of_template}/data":
        told = {"id": of_template, "templateTest": True, "data": f"Data for ID: {of_template}"}
        content = ("application/json", json.dumps(told))
    elif uri == "test://static-binary":
        blob = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG.data)
        return types.ReadResourceResult(contents=[blob])
    else:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    kind, words = content
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, mime_type=kind, text=words)])


async def done(_ctx, _params):
    return types.EmptyResult()


async def complete(_ctx, params):
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


class Events(EventStore):
    """All events since the start; what a suite run leaves behind is small."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        last = int(last_event_id)
        stream = self.events[last - 1][0]
        for number, (of, message) in enumerate(self.events[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


server = Server(
    "conformance_server",
    version="1",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_list_resources=list_resources,
    on_list_resource_templates=list_templates,
    on_read_resource=read_resource,
    on_subscribe_resource=done,
    on_unsubscribe_resource=done,
    on_set_logging_level=done,
    on_completion=complete,
    on_subscriptions_listen=ListenHandler(bus),
)
server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))

if "--modern-only" in sys.argv:
    forget_earlier_revisions()
if "--legacy-only" in sys.argv:
    forget_2026_07_28()
    # Only a listener of 2026-07-28 is told of what this server can tell without its saying so.
    changing = NotificationOptions(tools_changed=True, prompts_changed=True)
    server.create_initialization_options = functools.partial(server.create_initialization_options, changing)


async def main():
    bound = socket.create_server(("127.0.0.1", 0))
    # The socket listens already: whoever reads this line can connect.
    print(json.dumps({"fact": "listening", "url": f"http://127.0.0.1:{bound.getsockname()[1]}/mcp"}), flush=True)
    # Events have ids, and a closed stream can be resumed after 50 ms.
    app = server.streamable_http_app(event_store=Events(), retry_interval=50)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0))
    await running.serve(sockets=[bound])


asyncio.run(main())
