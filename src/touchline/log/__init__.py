"""The durable event log and the directory that stands beside it: one contract (``base``), two real backends."""
