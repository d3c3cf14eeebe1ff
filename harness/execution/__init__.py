"""Where chunks of runs are trained: worker processes of this machine, Ray, Slurm."""
