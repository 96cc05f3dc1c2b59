"""One folder per feed: a provider's push product in its own wire language, both roles, pure. See ``base``."""
