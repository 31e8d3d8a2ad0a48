"""The tools and prompts that the conformance suite asks of a server; see conformance_server.py."""

import asyncio
import base64
import json
import struct
import zlib

import mcp_types as types
from mcp import MCPError
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged

from conformance_asking import answers, is_modern, missing

NOTHING = {"type": "object", "properties": {}}
bus = InMemorySubscriptionBus()
tools = {}
prompts = {}


def tool(name, description, schema=NOTHING):
    def keep(function):
        tools[name] = (types.Tool(name=name, description=description, input_schema=schema), function)
        return function

    return keep


def prompt(name, description, arguments=()):
    def keep(function):
        listed = [types.PromptArgument(name=one, description=f"The {one}.", required=True) for one in arguments]
        prompts[name] = (types.Prompt(name=name, description=description, arguments=listed), function)
        return function

    return keep


def text(words):
    return types.TextContent(type="text", text=words)


def said(*content, is_error=False):
    content = [text(one) if isinstance(one, str) else one for one in content]
    return types.CallToolResult(content=content, is_error=is_error)


def png():
    """One red pixel."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xff\x00\x00")
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def wav():
    """Two samples of silence."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    data = b"\x80\x80"
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(body)) + body).decode()


PNG = types.ImageContent(type="image", data=png(), mime_type="image/png")


def embedded(uri, mime_type, content):
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=content)
    return types.EmbeddedResource(type="resource", resource=resource)


# Tools that answer at once.


@tool("test_simple_text", "Answers with a text.")
async def simple_text(_ctx, _params):
    return said("This is a simple text response for testing.")


@tool("test_image_content", "Answers with an image.")
async def image_content(_ctx, _params):
    return said(PNG)


@tool("test_audio_content", "Answers with a sound.")
async def audio_content(_ctx, _params):
    return said(types.AudioContent(type="audio", data=wav(), mime_type="audio/wav"))


@tool("test_embedded_resource", "Answers with a resource.")
async def embedded_resource(_ctx, _params):
    return said(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@tool("test_multiple_content_types", "Answers with a text, an image and a resource.")
async def multiple_content_types(_ctx, _params):
    inner = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return said("Multiple content types test:", PNG, inner)


@tool("test_error_handling", "Always fails.")
async def error_handling(_ctx, _params):
    return said("This tool intentionally returns an error for testing", is_error=True)


ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
RICH = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@tool("json_schema_2020_12_tool", "Has a schema with much of JSON Schema 2020-12 in it.", RICH)
async def json_schema(_ctx, params):
    return said(json.dumps(params.arguments))


HEADER = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


@tool("test_custom_header", "Wants one of its arguments as a header too.", HEADER)
async def custom_header(_ctx, params):
    return said(json.dumps(params.arguments))


# Tools that say something while they work.


async def log(ctx, words):
    await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)


@tool("test_tool_with_logging", "Logs while it works.")
async def with_logging(ctx, _params):
    await log(ctx, "Tool execution started")
    await asyncio.sleep(0.05)
    await log(ctx, "Tool processing data")
    await asyncio.sleep(0.05)
    await log(ctx, "Tool execution completed")
    return said("Logged three times.")


@tool("test_logging_tool", "Logs once, if the client wants to hear of it.")
async def logging_tool(ctx, _params):
    await log(ctx, "Logged.")
    return said("Logged once.")


@tool("test_tool_with_progress", "Reports progress while it works.")
async def with_progress(ctx, _params):
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100)
        await asyncio.sleep(0.05)
    return said("Reported three times.")


@tool("test_reconnection", "Closes the stream of its call, then answers.")
async def reconnection(ctx, _params):
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await asyncio.sleep(0.1)
    return said("Answered after the stream was closed.")


@tool("test_trigger_tool_change", "Says that the list of tools has changed.")
async def trigger_tool_change(ctx, _params):
    if is_modern(ctx):
        await bus.publish(ToolsListChanged())
    else:
        await ctx.session.send_tool_list_changed()
    return said("Said so.")


@tool("test_trigger_prompt_change", "Says that the list of prompts has changed.")
async def trigger_prompt_change(ctx, _params):
    if is_modern(ctx):
        await bus.publish(PromptsListChanged())
    else:
        await ctx.session.send_prompt_list_changed()
    return said("Said so.")


# Tools that ask, each named for the era of its scenario and able to ask in both.


def form(properties, required=()):
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def ask_user(message, schema):
    params = types.ElicitRequestFormParams(message=message, requested_schema=schema)
    return types.ElicitRequest(params=params)


def ask_form(message, **properties):
    return ask_user(message, form({name: {"type": kind} for name, kind in properties.items()}, properties))


def ask_model(words, max_tokens):
    message = types.SamplingMessage(role="user", content=text(words))
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


async def elicit(ctx, params, message, schema, prefix):
    (answer,) = await answers(ctx, params, user=ask_user(message, schema))
    return said(f"{prefix}: action={answer.action}, content={json.dumps(answer.content)}")


@tool("test_sampling", "Asks the client's model.", form({"prompt": {"type": "string"}}, ["prompt"]))
async def sampling(ctx, params):
    (answer,) = await answers(ctx, params, model=ask_model(params.arguments["prompt"], 100))
    return said(f"LLM response: {answer.content.text}")


@tool("test_elicitation", "Asks the user.", form({"message": {"type": "string"}}, ["message"]))
async def elicitation(ctx, params):
    described = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    schema = form(described, ["username", "email"])
    return await elicit(ctx, params, params.arguments["message"], schema, "User response")


@tool("test_elicitation_sep1034_defaults", "Asks with a default for every field.")
async def elicitation_defaults(ctx, params):
    schema = form(
        {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        }
    )
    return await elicit(ctx, params, "Is all of this so?", schema, "Elicitation completed")


@tool("test_elicitation_sep1330_enums", "Asks with every kind of choice.")
async def elicitation_enums(ctx, params):
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"{nth} Option"} for n, nth in ((1, "First"), (2, "Second"), (3, "Third"))]
    schema = form(
        {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        }
    )
    return await elicit(ctx, params, "Which of these?", schema, "Elicitation completed")


@tool("test_input_required_result_elicitation", "Needs a name.")
async def needs_elicitation(ctx, params):
    (answer,) = await answers(ctx, params, user_name=ask_form("What is your name?", name="string"))
    return said(f"Hello, {answer.content['name']}!")


@tool("test_input_required_result_sampling", "Needs a completion.")
async def needs_sampling(ctx, params):
    (answer,) = await answers(ctx, params, capital_question=ask_model("What is the capital of France?", 100))
    return said(answer.content.text)


@tool("test_input_required_result_list_roots", "Needs the roots.")
async def needs_roots(ctx, params):
    (answer,) = await answers(ctx, params, client_roots=types.ListRootsRequest())
    return said(", ".join(str(root.uri) for root in answer.roots))


@tool("test_input_required_result_request_state", "Needs a yes, and its own state back.")
async def needs_state(ctx, params):
    await answers(ctx, params, "asked", confirm=ask_form("Please confirm", ok="boolean"))
    return said("state-ok")


@tool("test_input_required_result_tampered_state", "Needs its own state back as it was.")
async def needs_untampered_state(ctx, params):
    await answers(ctx, params, "asked", confirm=ask_form("Please confirm", ok="boolean"))
    return said("state-ok")


@tool("test_input_required_result_multiple_inputs", "Needs three answers at once.")
async def needs_three(ctx, params):
    await answers(
        ctx,
        params,
        "asked",
        user_name=ask_form("What is your name?", name="string"),
        greeting=ask_model("Generate a greeting", 50),
        client_roots=types.ListRootsRequest(),
    )
    return said("All three are here.")


@tool("test_input_required_result_multi_round", "Needs two answers, one after the other.")
async def needs_two_rounds(ctx, params):
    if not (is_modern(ctx) and params.request_state == "second"):
        await answers(ctx, params, "first", step1=ask_form("Step 1: What is your name?", name="string"))
    await answers(ctx, params, "second", step2=ask_form("Step 2: What is your favorite color?", color="string"))
    return said("Both rounds are done.")


@tool("test_input_required_result_capabilities", "Asks only what this client can answer.")
async def asks_what_is_declared(ctx, params):
    declared = ctx.session.client_capabilities
    requests = {}
    if declared and declared.sampling is not None:
        requests["completion"] = ask_model("Say something", 50)
    if declared and declared.elicitation is not None:
        requests["user_name"] = ask_form("What is your name?", name="string")
    if is_modern(ctx):
        return missing(**requests)
    await answers(ctx, params, **requests)
    return said("Asked what could be answered.")


@tool("test_streaming_elicitation", "Reports progress, then needs a name.")
async def streams_then_needs(ctx, params):
    await ctx.session.report_progress(1, 2)
    return await needs_elicitation(ctx, params)


@tool("test_missing_capability", "Cannot do without the client's model.")
async def missing_capability(ctx, _params):
    declared = ctx.session.client_capabilities
    if not declared or declared.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return said("The client can do it.")


# Prompts.


def user(content):
    return types.PromptMessage(role="user", content=text(content) if isinstance(content, str) else content)


@prompt("test_simple_prompt", "Has no arguments.")
async def simple_prompt(_ctx, _params):
    return types.GetPromptResult(messages=[user("This is a simple prompt for testing.")])


@prompt("test_prompt_with_arguments", "Has two arguments.", ("arg1", "arg2"))
async def prompt_with_arguments(_ctx, params):
    given = params.arguments or {}
    words = f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'"
    return types.GetPromptResult(messages=[user(words)])


@prompt("test_prompt_with_embedded_resource", "Has a resource in it.", ("resourceUri",))
async def prompt_with_resource(_ctx, params):
    inner = embedded(params.arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return types.GetPromptResult(messages=[user(inner), user("Please process the embedded resource above.")])


@prompt("test_prompt_with_image", "Has an image in it.")
async def prompt_with_image(_ctx, _params):
    return types.GetPromptResult(messages=[user(PNG), user("Please analyze the image above.")])


@prompt("test_input_required_result_prompt", "Needs a context.")
async def prompt_that_needs(ctx, params):
    question = ask_form("What context should the prompt use?", context="string")
    (answer,) = await answers(ctx, params, user_context=question)
    return types.GetPromptResult(messages=[user(f"In the context of {answer.content['context']}.")])
