"""What a name in a configuration stands for: losses, inits, penalties, optimizers and the rest."""
