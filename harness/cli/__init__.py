"""The command line: Hydra, the orchestration of a sweep, what a person sees."""
