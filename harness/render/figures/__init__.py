"""Figures of the report and of `harness estimate --plot`: small panels, drawn with matplotlib."""
