"""Sessions at their worst, all against one hub: a program that attacks, checks itself, and looks for what is left.

``python -m bench.stress --seed 1 --sessions 5000`` (``make stress``). ``readers`` are clients that know whether they
have everything; ``phases`` is what is done to the hub, one thing after the other.
"""
