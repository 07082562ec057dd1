"""One file a paper; each defines ``RECIPES``."""
