"""A broadcast over FastAPI on uvicorn as its documentation writes it (WebSockets, "Handling disconnections and multiple
clients"). Usage: fastapi_server PORT CONTROL; each line that comes to CONTROL goes to every session.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    """Who is connected."""

    def __init__(self) -> None:
        self.active: list[WebSocket] = []

    async def broadcast(self, message: str) -> None:
        """One after the other."""
        for connection in list(self.active):
            await connection.send_text(message)


manager = ConnectionManager()


async def _control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        await manager.broadcast(line.decode().rstrip())
    writer.close()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Listens to the publisher too."""
    del app
    async with await asyncio.start_server(_control, "127.0.0.1", int(sys.argv[2])):
        yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def endpoint(websocket: WebSocket) -> None:
    """A session."""
    await websocket.accept()
    manager.active.append(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        manager.active.remove(websocket)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws_per_message_deflate=False)
