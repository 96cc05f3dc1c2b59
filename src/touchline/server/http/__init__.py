"""HTTP: our own API under ``/hub/v1``, the feeds' REST, and the documents that describe both.

Every operation is declared once (``feeds.base.Operation``); ``asgi`` routes it, ``openapi`` describes it.
"""
