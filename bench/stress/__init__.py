"""Sessions at their worst, all against one hub: a program that attacks, checks itself, and looks for what is left.

``python -m bench.stress --seed 1 --sessions 5000`` (``make stress``). ``readers`` are clients that know whether they
have everything, which ``account`` counts; ``world`` is the hub with all that is kept of it; ``returning``, ``attacks``
and ``ending`` are what is done to it, one thing after the other.
"""
