"""What of a connection's bytes its peer has not taken yet, the system's share included.

The system takes more of ours only when a third of its own, which may be megabytes, has gone: by our own buffer alone,
somebody who reads a kilobyte a second would look like somebody who reads nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Bytes that wait in the transport, and those in the system's send buffer that the peer has not acknowledged (0
    where that cannot be asked, and of a connection whose socket is closed already)."""
    plain = transport.get_extra_info("socket")
    held = bytearray(4)
    waiting = transport.get_write_buffer_size()
    try:
        fcntl.ioctl(plain.fileno(), termios.TIOCOUTQ, held)
    except (OSError, AttributeError, ValueError):  # ValueError: there is no descriptor any more
        return waiting
    return waiting + int.from_bytes(held, sys.byteorder)
