"""Touchline: a self-hosted hub for live sports push feeds.

The package is layered; each layer imports only what stands below it:

``cli`` → ``sandbox`` → ``server`` → ``delivery`` → ``log`` and ``feeds`` → ``wire`` → ``model``, ``errors``, ``clock``

``client`` is the SDK: it sees ``feeds`` and ``wire`` and nothing of the server.
"""

__version__ = "0.1.0"
