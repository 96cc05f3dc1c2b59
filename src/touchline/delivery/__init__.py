"""Getting records to receivers: ``fanout`` to sessions (WebSocket, SSE). Readers with a cursor over one log."""
