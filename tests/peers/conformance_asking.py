"""How the tools of conformance_tools.py ask their users: in the way of the era in which they were called."""

import asyncio

import mcp_types as types
from mcp.shared.message import ServerMessageMetadata

KINDS = {
    types.ElicitRequest: types.ElicitResult,
    types.CreateMessageRequest: types.CreateMessageResult,
    types.ListRootsRequest: types.ListRootsResult,
}


class Missing(Exception):
    """An answer that a call cannot go on without, in 2026-07-28."""

    def __init__(self, result):
        self.result = result


def is_modern(ctx):
    return ctx.session.protocol_version >= "2026"


def missing(state=None, **requests):
    return types.InputRequiredResult(input_requests=requests, request_state=state)


async def answers(ctx, params, state=None, **requests):
    """The answers to these questions, in their order."""
    if not is_modern(ctx):
        related = ServerMessageMetadata(related_request_id=ctx.request_id)
        asked = (ctx.session.send_request(one, KINDS[type(one)], metadata=related) for one in requests.values())
        return await asyncio.gather(*asked)
    given = params.input_responses or {}
    if all(key in given for key in requests) and (state is None or params.request_state == state):
        return [given[key] for key in requests]
    raise Missing(missing(state, **requests))
