"""Fuzzing of all that reads what others wrote: nothing raises but what is declared, nothing grows without bound.

Feeds are taken from the registry and their worlds from the suites that they pass (``tests/feeds/<name>``), so that a
new feed is fuzzed by itself. How long is in ``bounds``; ``make fuzz`` runs the same for much longer, then the harness
``atheris_formats``.
"""
