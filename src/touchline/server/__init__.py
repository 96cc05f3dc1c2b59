"""The hub process: HTTP and WebSocket on one port, over the log, the feeds and the fan-out.

``app`` is the only place that builds concrete things. ``hub`` holds them and answers what feeds and sessions ask;
``http`` is our own API and the adapter for the feeds' REST; ``connection`` and ``websocket`` are the sockets.
"""
