"""Names a config may use, of what has no registry yet."""

SOURCES = ("census", "surnames", "makemore", "file", "markov", "points", "moons")
BINARY_SOURCES = ("points", "moons")
