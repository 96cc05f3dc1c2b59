"""Measuring a hub against bare loops: what ``touchline bench`` runs, and parts for the repository's ``bench/``.

Every figure stands beside a baseline of the same run on the same machine; the ratio is what travels between machines.
"""
