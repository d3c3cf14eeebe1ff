"""What the first loss must be: laws of the logits, expectations and spreads, advice."""
