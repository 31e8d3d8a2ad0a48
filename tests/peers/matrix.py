"""What every Python client of the matrix does: connects to each server of a plan and carries out its operations.

The plan is one JSON argument: {"cells": [{"cell", "url", "transport", "mode", "operations": [{"do", ...}]}]}.
Each operation prints one JSON line: {"cell", "do", "got"} or {"cell", "do", "error"}.

A client is a class with `connect(cell, inbox)`, an async context manager that gives an object with the methods used below.
"""

import asyncio
import contextlib
import json
import sys
import uuid

# How long an operation may take. Only one that never comes to its end gets there.
PATIENCE = 20
LISTS = {"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}
# How often a server is made to say that something has changed. The stream on which a client hears of it is opened
# behind the user's back; what was said before it stood was said to nobody.
TRIES = 10


class Inbox:
    """What a client has heard outside of calls."""

    def __init__(self):
        self.heard = asyncio.Queue()

    def put(self, what):
        self.heard.put_nowait(what)

    async def until(self, what):
        while await self.heard.get() != what:
            pass


def short(text):
    return text if len(text) <= 200 else f"{len(text)} characters"


def filled(arguments):
    """`{"fill": {"text": 400000}}` becomes a text of that length, which is no thing for a command line."""
    arguments = dict(arguments)
    long = arguments.pop("fill", {})
    return arguments | {name: "x" * length for name, length in long.items()}


def uris_in(value):
    """All that stands where the URI of a resource does, in a result of any kind."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key in ("uri", "resourceUri") and isinstance(member, str):
                yield member
            else:
                yield from uris_in(member)
    elif isinstance(value, list):
        for element in value:
            yield from uris_in(element)


def plain(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


class Operations:
    def __init__(self, connect, cell):
        self.connect, self.cell = connect, cell
        self.inbox = Inbox()
        self.client = None
        # What tools are called before their names, at an endpoint of many servers.
        self.prefix = ""

    async def lists(self, _wish):
        """All four lists, page by page; of each item its name, and of each list the number of pages."""
        found = {}
        for listing, key in LISTS.items():
            names, pages, cursor, shown = [], 0, None, []
            while pages == 0 or cursor is not None:
                try:
                    page = plain(await self.client.page(listing, cursor))
                except Exception as failure:
                    # A server that has no such list has nothing in it.
                    if getattr(getattr(failure, "error", None), "code", None) != -32601:
                        raise
                    page = {listing: []}
                names += [item[key] for item in page[listing]]
                # A resource that is not listed may be the view of a tool.
                shown += [] if key == "uri" else uris_in(page[listing])
                pages, cursor = pages + 1, page.get("nextCursor")
            found[listing] = {"names": names, "pages": pages, "uris": shown}
        return found

    async def whole(self, wish):
        """The whole result of a request, and what is read at each URI in it. An error is a result too."""
        try:
            result = plain(await self.client.whole(wish["of"], wish["params"]))
        except Exception as failure:
            if (error := getattr(failure, "error", None)) is None:
                raise
            return {"error": error.code}
        # A form is no result, and what was read needs no second look.
        uris = [] if wish["of"] == "read" else uris_in(result)
        return {"result": result, "read": {uri: plain(await self.client.whole("read", {"uri": uri})) for uri in uris}}

    async def list(self, _wish):
        client = self.client
        return {"tools": await client.tools(), "resources": await client.resources(), "prompts": await client.prompts()}

    async def read(self, wish):
        return short(await self.client.read(wish["uri"]))

    async def get(self, wish):
        return short(await self.client.get(wish["name"], wish["arguments"]))

    async def call(self, wish):
        return short(await self.client.call(wish["name"], filled(wish.get("arguments", {}))))

    async def reported(self, wish):
        """For a server that does not wait to be heard. A client may lose reports that come in one piece with the result: the
        TypeScript SDKs do."""
        seen = []
        text = await self.client.call(wish["name"], wish["arguments"], seen.append)
        return {"ordered": len(seen) >= 1 and seen == list(range(1, len(seen) + 1)), "text": short(text)}

    async def progress(self, _wish):
        """Each step is opened only after it was seen: the call ends only if no step was held back."""
        key, seen, opened = str(uuid.uuid4()), [], []

        def on_progress(step):
            seen.append(step)
            opened.append(asyncio.ensure_future(self.client.call(self.prefix + "open", {"key": key})))

        text = await self.client.call(self.prefix + "steps", {"key": key, "count": 3}, on_progress)
        await asyncio.gather(*opened)
        return {"seen": seen, "text": text.replace(key, "KEY")}

    async def cancel(self, _wish):
        key, started = str(uuid.uuid4()), asyncio.Event()
        call = await self.client.begin(self.prefix + "steps", {"key": key}, lambda _step: started.set())
        await started.wait()
        await call.cancel()
        return await self.client.call(self.prefix + "ended", {"key": key})

    async def logging(self, _wish):
        await self.client.tell_all()
        await self._until_heard("log", "a line")
        return "heard"

    async def updates(self, wish):
        uri = wish.get("uri", "test://greeting")
        async with self.client.watching(uri):
            await self._until_heard(wish.get("name", "touch"), uri)
        return "heard"

    async def changes(self, wish):
        async with self.client.watching(None):
            await self._until_heard(wish.get("name", "grow"), "tools")
        return "heard"

    async def _until_heard(self, tool, what):
        for _ in range(TRIES):
            await self.client.call(self.prefix + tool, {})
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.inbox.until(what), PATIENCE / TRIES / 2)
        raise TimeoutError(f"said {TRIES} times and never heard")

    async def many(self, wish):
        names = [f"number {number}" for number in range(wish["count"])]
        answers = await asyncio.gather(*(self.client.call("echo", {"message": name}) for name in names))
        return sum(answer.removeprefix("Echo: ") == name for name, answer in zip(names, answers, strict=True))

    async def twins(self, _wish):
        """Two clients whose calls have equal ids, since both are new; both calls run before either is let go."""

        running = asyncio.Event(), asyncio.Event()

        async def twin(client, mine):
            key, opened = str(uuid.uuid4()), []

            async def go_on():
                for one in running:
                    await one.wait()
                await client.call("open", {"key": key})

            def on_progress(_step):
                mine.set()
                opened.append(asyncio.ensure_future(go_on()))

            text = await client.call("steps", {"key": key}, on_progress)
            await asyncio.gather(*opened)
            return text.replace(key, "KEY")

        async with self.connect(self.cell, Inbox()) as one, self.connect(self.cell, Inbox()) as two:
            return await asyncio.gather(twin(one, running[0]), twin(two, running[1]))


def tell(cell, do, **more):
    print(json.dumps({"cell": cell["cell"], "do": do, **more}), flush=True)


def reason(failure):
    """The first failure inside the groups that task groups wrap around it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {failure}"[:500]


async def one(connect, cell):
    operations = Operations(connect, cell)
    try:
        async with asyncio.timeout(PATIENCE) as limit, connect(cell, operations.inbox) as operations.client:
            limit.reschedule(None)
            tell(cell, "connect", got=operations.client.revision)
            for wish in cell["operations"]:
                name = wish.get("as", wish["do"])
                operations.prefix = wish.get("prefix", "")
                try:
                    async with asyncio.timeout(PATIENCE):
                        tell(cell, name, got=await getattr(operations, wish["do"])(wish))
                except Exception as failure:
                    tell(cell, name, error=reason(failure))
    except BaseException as failure:
        tell(cell, "connect", error=reason(failure))


async def run(connect):
    for cell in json.loads(sys.argv[1])["cells"]:
        await one(connect, cell)


def line(data):
    """The text of what was logged. FastMCP wraps it."""
    return data.get("msg") if isinstance(data, dict) else data


def fields(schema):
    """Fills a form of texts."""
    return {name: "canned" for name in (schema or {}).get("properties", {})}


def reference(types, ref):
    """What is to be completed, in the words of the SDK."""
    kinds = {"ref/prompt": types.PromptReference, "ref/resource": types.ResourceTemplateReference}
    return kinds[ref["type"]](**ref)


def texts(result):
    assert not getattr(result, "isError", getattr(result, "is_error", False)), result.content
    return "".join(part.text for part in result.content if part.type == "text")


def main(connect):
    asyncio.run(run(connect))
