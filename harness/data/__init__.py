"""Words in, split examples out: sources, vocabularies, contexts and their counts, baselines."""
