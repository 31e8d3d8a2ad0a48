"""What the Python servers of the tests share: what has happened in them, what their tools do, and how they listen.

A tool here waits for what another call does, never for a time: progress that is held back until the end of its call
never comes at all, and neither does the end.
"""

import asyncio
import json
import socket
from collections import Counter

import uvicorn


class World:
    """What has happened in this process, to be waited for by any call."""

    def __init__(self):
        self.opened = Counter()
        self.cancelled = set()
        self._changed = asyncio.Event()

    def _tell(self):
        # Told to those who wait by now, without waiting for anybody: this runs inside calls that are being cancelled.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, is_so):
        while not is_so():
            await self._changed.wait()

    async def steps(self, report, key, count):
        """Reports step after step, each only once the one before has been answered by `open`."""
        try:
            for step in range(1, count + 1):
                await report(step, count)
                await self._until(lambda step=step: self.opened[key] >= step)
        except asyncio.CancelledError:
            self.cancelled.add(key)
            self._tell()
            raise
        return f"{count} steps of {key}"

    def open(self, key):
        self.opened[key] += 1
        self._tell()
        return "opened"

    async def ended(self, key):
        """Waits until the call of `steps` with this key has been cancelled."""
        await self._until(lambda: key in self.cancelled)
        return "cancelled"


world = World()


async def listen(address, http, sse=None):
    """Serves one app or two on ports of their own, and says where in one JSON line."""
    host, port = address.rsplit(":", 1)
    told, running = {"fact": "listening"}, []
    for name, app, path in (("url", http, "/mcp"), ("sse", sse, "/sse")):
        if app is not None:
            bound = socket.create_server((host, int(port)))
            told[name] = f"http://{host}:{bound.getsockname()[1]}{path}"
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0))
            running.append(server.serve(sockets=[bound]))
    # The sockets listen already: whoever reads this line can connect.
    print(json.dumps(told), flush=True)
    await asyncio.gather(*running)
