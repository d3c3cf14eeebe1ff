"""Losses: value, gradient, and what the first value must be."""
