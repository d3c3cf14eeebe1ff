"""What MLflow is told, and what is read back from it."""
