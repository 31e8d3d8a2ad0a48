"""The official Python client as a command: connects, does the steps it is given, prints one JSON line per fact.

    python client_py.py [--mode legacy|auto|2026-07-28] [--transport http|sse]
                        (--url URL [--header 'Name: value']... | --command PROGRAM [--arg ARG]...) STEP...

A step is a JSON object: {"do":"tools"} {"do":"call","name":"echo","arguments":{}} {"do":"resources"}
{"do":"read","uri":"..."} {"do":"prompts"} {"do":"prompt","name":"...","arguments":{}}
Facts: connected, tools, resources, prompts, result, progress, asked, error. Any error ends with exit code 1.
"""

import argparse
import asyncio
import json
import os
import sys

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def tell(fact, **more):
    print(json.dumps({"fact": fact, **more}), flush=True)


# The answers a user would give, so that a test can recognise them in the result.


async def complete(_context, _params):
    tell("asked", method="sampling/createMessage")
    text = types.TextContent(type="text", text="a canned completion")
    return types.CreateMessageResult(role="assistant", model="canned", stop_reason="endTurn", content=text)


async def fill_in(_context, params):
    tell("asked", method="elicitation/create")
    schema = getattr(params, "requested_schema", None) or {}
    return types.ElicitResult(action="accept", content=filled(schema))


async def roots(_context):
    tell("asked", method="roots/list")
    return types.ListRootsResult(roots=[types.Root(uri="file:///canned", name="canned")])


def filled(schema):
    """Fills a form with the first value that each field admits."""
    content = {}
    for name, field in schema.get("properties", {}).items():
        kind = field.get("type")
        if "default" in field:
            content[name] = field["default"]
        elif "enum" in field:
            content[name] = field["enum"][0]
        elif "oneOf" in field:
            content[name] = field["oneOf"][0]["const"]
        elif kind == "boolean":
            content[name] = True
        elif kind in ("number", "integer"):
            content[name] = field.get("minimum", 1)
        elif kind == "array":
            items = field["items"]
            content[name] = [items["enum"][0] if "enum" in items else items["anyOf"][0]["const"]]
        else:
            content[name] = "canned@example.com" if field.get("format") == "email" else "canned"
    return content


def transport_of(options, http):
    if options.command:
        return StdioServerParameters(command=options.command, args=options.arg, env=dict(os.environ))
    if options.transport == "sse":
        return sse_client(options.url, headers=http.headers)
    return streamable_http_client(options.url, http_client=http)


async def do(client, wish):
    match wish["do"]:
        case "tools":
            tell("tools", names=[tool.name for tool in (await client.list_tools()).tools])
        case "resources":
            tell("resources", uris=[str(one.uri) for one in (await client.list_resources()).resources])
        case "prompts":
            tell("prompts", names=[one.name for one in (await client.list_prompts()).prompts])
        case "read":
            tell("result", of="read", result=plain(await client.read_resource(wish["uri"])))
        case "prompt":
            result = await client.get_prompt(wish["name"], wish.get("arguments", {}))
            tell("result", of="prompt", result=plain(result))
        case "call":

            async def on_progress(progress, total, message):
                tell("progress", progress=progress, total=total, message=message)

            watch = on_progress if wish.get("progress") else None
            result = await client.call_tool(wish["name"], wish.get("arguments", {}), progress_callback=watch)
            tell("result", of="call", name=wish["name"], result=plain(result))
        case other:
            raise ValueError(f"no such step: {other}")


def plain(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main(options):
    headers = dict(line.split(":", 1) for line in options.header)
    headers = {name: value.strip() for name, value in headers.items()}
    at = "connect"
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            client = Client(
                transport_of(options, http),
                mode=options.mode,
                sampling_callback=complete,
                elicitation_callback=fill_in,
                list_roots_callback=roots,
            )
            async with client:
                server = client.server_info
                tell("connected", revision=client.protocol_version, server=server.name if server else None)
                for step in options.steps:
                    wish = json.loads(step)
                    at = wish["do"]
                    await do(client, wish)
                at = "close"
    except BaseException as failure:
        tell("error", of=at, **reason(failure))
        return 1
    return 0


def reason(failure):
    """The first failure inside the groups that task groups wrap around it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if isinstance(failure, MCPError):
        return {"code": failure.error.code, "message": failure.error.message}
    return {"code": None, "message": f"{type(failure).__name__}: {failure}"}


parser = argparse.ArgumentParser()
parser.add_argument("--mode", default="auto")
parser.add_argument("--transport", default="http", choices=["http", "sse"])
parser.add_argument("--url")
parser.add_argument("--header", action="append", default=[])
parser.add_argument("--command")
parser.add_argument("--arg", action="append", default=[])
parser.add_argument("steps", nargs="*")
sys.exit(asyncio.run(main(parser.parse_args())))
