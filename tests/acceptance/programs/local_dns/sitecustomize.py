"""A name of somebody else's leads to this machine, for one process: its folder goes into PYTHONPATH.

``LOCAL_DNS`` is ``name=address:port``: who asks for that name, on whatever port, is given this address and port.
"""

import os
import socket
from typing import Any

_NAME, _, _PLACE = os.environ["LOCAL_DNS"].partition("=")
_ADDRESS, _, _PORT = _PLACE.partition(":")
_ask = socket.getaddrinfo


def _answer(host: Any, port: Any, *more: Any, **named: Any) -> Any:
    if host in (_NAME, _NAME.encode()):
        host, port = _ADDRESS, int(_PORT)
    return _ask(host, port, *more, **named)


socket.getaddrinfo = _answer
