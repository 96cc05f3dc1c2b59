"""RFC 6455 against every WebSocket endpoint of a hub: tables of cases, in the manner of the Autobahn categories.

A case holds what is sent, the section that speaks of it, and what that section demands; nothing is taken from what
the hub does. Endpoints come from the registry: a new feed's is tested once ``endpoints`` can say who may connect.
"""
