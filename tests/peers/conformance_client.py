"""The client that the conformance suite starts: the official Python SDK 2.3 doing what a scenario needs done.

    conformance client --command "python conformance_client.py" --scenario NAME

The suite appends the URL of its mock server, known only then. With CAUSEWAY_BIN set, a gateway of its own is put in
front of that URL, and the client speaks with the gateway: what the mock server judges is then what the gateway sends.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

import mcp_types as types
from mcp import Client
from pydantic import ValidationError

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
REVISION = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")


def overheard(url):
    """The same URL by way of an ear of the test, if there is a switchboard that gives one."""
    board = os.environ.get("CAUSEWAY_TAPS")
    if board is None:
        return url
    host, port = board.split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(urlsplit(url).netloc.encode() + b"\n")
        address = line.makefile().readline().strip()
    return urlsplit(url)._replace(netloc=address).geturl()


@contextlib.contextmanager
def gateway(url):
    """A gateway with one upstream; gives the URL of the route that leads there."""
    binary = os.environ.get("CAUSEWAY_BIN")
    if binary is None:
        yield url
        return
    with tempfile.TemporaryDirectory() as home:
        with open(f"{home}/gateway.yaml", "w") as file:
            file.write("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstate: ./state\n")
            file.write(f'upstreams:\n  mock: {{ url: "{overheard(url)}" }}\n')
        running = subprocess.Popen([binary, "run", f"{home}/gateway.yaml"], cwd=home, stdout=subprocess.PIPE, text=True)
        try:
            where = None
            for line in running.stdout:
                if line.startswith("listening on "):
                    where = line.removeprefix("listening on ").strip()
                # It has asked the mock server what it speaks; what comes now is the client's.
                if line == "ready\n":
                    break
            yield overheard(f"{where}/mcp/mock")
        finally:
            running.terminate()
            running.wait()


async def complete(_context, _params):
    content = types.TextContent(type="text", text="a canned completion")
    return types.CreateMessageResult(role="assistant", model="canned", stop_reason="endTurn", content=content)


async def accept(_context, params):
    """Agrees to everything: the default of each field that has one, and yes to what is to be confirmed."""
    fields = (params.requested_schema or {}).get("properties", {})
    content = {name: field["default"] for name, field in fields.items() if "default" in field}
    content |= {name: True for name, field in fields.items() if field.get("type") == "boolean" and name not in content}
    return types.ElicitResult(action="accept", content=content)


async def roots(_context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///canned", name="canned")])


async def schema_back(client):
    listed = (await client.list_tools()).tools
    focal = next(tool for tool in listed if tool.name != "json_schema_echo")
    await client.call_tool("json_schema_echo", {"schema": focal.input_schema})


async def everything_named(client):
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def calls_of_the_context(client):
    await client.list_tools()
    for call in CONTEXT["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def every_tool_left(client):
    # The SDK leaves out the tools it may not use; those of them that the gateway lets pass are its to leave out.
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {name: "x" for name in tool.input_schema["properties"]})


def call(*names, **arguments):
    async def do(client):
        await client.list_tools()
        for name in names:
            await client.call_tool(name, arguments)

    return do


async def several_rounds(client):
    await call("test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state")(client)
    # The suite takes a result without `resultType` for a complete one. This SDK refuses it, which is not ours to judge.
    with contextlib.suppress(ValidationError):
        await client.call_tool("test_mrtr_no_result_type", {})


async def look(client):
    await client.list_tools()


DEEDS = {
    "initialize": look,
    "tools_call": call("add_numbers", a=5, b=3),
    "elicitation-sep1034-client-defaults": call("test_client_elicitation_defaults"),
    "sse-retry": call("test_reconnection"),
    "request-metadata": look,
    "sep-2322-client-request-state": several_rounds,
    "http-standard-headers": everything_named,
    "http-custom-headers": calls_of_the_context,
    "http-invalid-tool-headers": every_tool_left,
    "json-schema-ref-no-deref": look,
    "json-schema-2020-12-preservation": schema_back,
}


async def main(url):
    mode = "auto" if REVISION >= "2026" else "legacy"
    client = Client(
        url, mode=mode, sampling_callback=complete, elicitation_callback=accept, list_roots_callback=roots
    )
    async with client:
        await DEEDS[SCENARIO](client)


# The suite ends a client that takes too long; its gateway has to end with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
with gateway(sys.argv[-1]) as front:
    asyncio.run(main(front))
