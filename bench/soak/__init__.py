"""A hub under mixed load for half an hour, killed again and again, and an account of everything that it was given.

``python -m bench.soak --minutes 30 --seed 1`` (``make soak``). ``world`` is who takes part, ``publishing`` what is fed
to the hub, ``load`` and ``receivers`` are the processes of sessions and of webhook endpoints, ``vitals`` watches the
hub's memory, ``truth`` reads the log, and ``accounting`` holds everything against it.
"""
