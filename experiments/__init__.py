"""Questions answered by runs, one folder each; `python -m experiments` runs them."""
