"""Figures as ratios against bare baselines, measured in one run on this machine. ``python -m bench [name …]``."""
