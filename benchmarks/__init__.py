"""Speed, always as ratios within one run against a named peer; see __main__.py."""
