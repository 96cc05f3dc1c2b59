"""Fan-out to sessions: every session is a reader of the log, live ones are pushed to, slow ones pull.

- ``tail``     the newest records in memory, each with its ready frames, indexed by stream
- ``reader``   one session: what it follows and how far it has got
- ``groups``   sessions with equal selectors share all work on a record
- ``states``   the newest value per key of the state lane, for those who were slow or come late
- ``catchup``  whose turn it is to pull, and reading the log, shared between those who are behind
- ``runs``     bytes joined for one who catches up, for those who stand where it stood
- ``output``   frames, each made once, and their way to one reader
- ``pulling``  the turns of those who are behind, and the splice to live
- ``fanout``   the whole: pushing and flow control

It is driven by the log's follower callback and by the sockets' flow control.

Nothing here knows a socket: a ``Sink`` is written to and says how much it still holds. There is no ``await`` and no
encoding per subscriber on the way out.
"""

from touchline.delivery.fanout.fanout import Fanout
from touchline.delivery.fanout.limits import FanoutLimits
from touchline.delivery.fanout.reader import Framing, Reader, Sink

__all__ = ["Fanout", "FanoutLimits", "Framing", "Reader", "Sink"]
