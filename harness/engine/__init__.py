"""Stacked training: parameters with the run axis first, losses, updates, evaluation, workers."""
