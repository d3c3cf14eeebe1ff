"""The truth on disk: records, checkpoints, sweep manifests."""
