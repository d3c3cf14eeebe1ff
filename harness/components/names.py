"""Names a config may use, of what has no registry yet."""

SCHEMES = ("kaiming", "normal", "uniform", "xavier", "orthogonal", "zero")
SCOPES = ("linear", "all", "hidden", "output", "embedding")
BIASES = ("zero", "normal", "uniform", "constant")
OUTPUT_BIASES = (*BIASES, "log_unigram")
REGULARIZERS = ("none", "l2", "l2_sum", "l1", "weight_decay", "dropout", "max_norm")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("step", "constant", "cosine")
SOURCES = ("census", "surnames", "makemore", "file", "markov", "points", "moons")
BINARY_SOURCES = ("points", "moons")
