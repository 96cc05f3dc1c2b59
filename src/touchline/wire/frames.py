"""Ready-made WebSocket frames (RFC 6455, 5.2): a server's frames are not masked, so one serves every session.

The bytes are made by the ``websockets`` library; this module only keeps them, so that a message is framed once.
"""

from __future__ import annotations

from websockets.frames import Frame, Opcode


def text(message: str | bytes) -> bytes:
    """One whole, unmasked text frame of a message (bytes are UTF-8 already)."""
    return Frame(Opcode.TEXT, message if isinstance(message, bytes) else message.encode()).serialize(mask=False)
