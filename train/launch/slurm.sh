#!/bin/bash
# A run on the nodes of a Slurm job: sbatch [--nodes=4 …] train/launch/slurm.sh --recipe llava-1.5-7b --data … --out …
# from the repository's folder, with the options of `python -m train run`. docs/scaling.md says more.
#
#SBATCH --job-name=vitkit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --output=slurm-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@600

PYTHON=${PYTHON:-.venv/bin/python}
master=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Of the job's own, so that two jobs on a node do not meet.
port=$((20000 + SLURM_JOB_ID % 20000))

# One launch on each node starts a process for each of its GPUs. It is Slurm that knows a node's rank.
srun --kill-on-bad-exit=1 bash -c 'exec "$0" -m train.launch --node-rank "$SLURM_NODEID" "$@"' "$PYTHON" \
    --nodes "$SLURM_JOB_NUM_NODES" --master-addr "$master" --master-port "$port" ${GPUS:+--gpus "$GPUS"} \
    run "$@" &
step=$!

# Ten minutes before the job's time is up Slurm sends us USR1: the run is to stop, and goes on in another job.
time_is_up=
# Not by srun, which on TERM kills the step at once.
trap 'time_is_up=yes; scancel --signal=TERM "$SLURM_JOB_ID.0"' USR1
while kill -0 "$step" 2>/dev/null; do
    wait "$step"  # which a signal ends before the step has ended
done
wait "$step"
status=$?
# Any status but of a run that is finished or cannot go on: a node may have been slow to end, and killed.
if [ -n "$time_is_up" ] && [ "$status" -gt 2 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
