"""A broadcast by ``python-socketio`` on uvicorn, WebSocket transport. Usage: socketio_server PORT CONTROL."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import socketio
import uvicorn
from starlette.applications import Starlette

sio = socketio.AsyncServer(async_mode="asgi", ping_interval=60, ping_timeout=60)


async def _control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        await sio.emit("event", json.loads(line))
    writer.close()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Listens to the publisher too."""
    del app
    async with await asyncio.start_server(_control, "127.0.0.1", int(sys.argv[2])):
        yield


app = socketio.ASGIApp(sio, Starlette(lifespan=lifespan))

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws_per_message_deflate=False)
