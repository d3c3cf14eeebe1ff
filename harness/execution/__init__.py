"""Where chunks of runs are trained: worker processes on this machine."""
