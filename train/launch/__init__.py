"""One run as several processes: on the GPUs of this machine, of several, or of a Slurm job's."""
