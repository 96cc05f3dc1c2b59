"""The courier: delivers the log to webhook endpoints, each a reader with a cursor of its own.

- ``policy``      how an endpoint is delivered to: the defaults, and its options
- ``recent``      the newest records in memory, and parts of the log, shared by all endpoints
- ``backlog``     what one endpoint is owed: its cursor, and the open records behind it in lanes that keep their order
- ``health``      whether an endpoint fails as a whole, and what is held against a single record
- ``scheduler``   whose request goes next: windows, a healthy and a suspect budget, rate limits
- ``line``        one endpoint with all of these
- ``reading``     moves cursors, decides what is owed
- ``messages``    a record is prepared once for all endpoints of a variant
- ``sending``     sends, and draws the consequences of the answers (``verdict``)
- ``handshakes``  tells receivers of subscriptions that are to be confirmed
- ``letters``     dead letters;  ``attempts``  the last tries;  ``report``, ``reporting``, ``lagging``  what an
  operator is shown
- ``saving``      makes durable where endpoints stand
- ``announcing``  endpoints' changes as events of the native feed
- ``courier``     the whole: the endpoints' changes, turns and timers
- ``transport``   what is asked of an HTTP client;  ``client``, ``addresses``  the client

Decisions are pure and know no event loop; sockets are behind ``Transport``.
"""

from touchline.delivery.courier.courier import Courier
from touchline.delivery.courier.lagging import STATES, Lag
from touchline.delivery.courier.limits import CourierLimits, CourierStats
from touchline.delivery.courier.policy import OPTIONS, Policy, is_option, parse_policy

__all__ = [
    "OPTIONS",
    "STATES",
    "Courier",
    "CourierLimits",
    "CourierStats",
    "Lag",
    "Policy",
    "is_option",
    "parse_policy",
]
