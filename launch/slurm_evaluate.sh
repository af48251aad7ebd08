#!/usr/bin/env bash
# Evaluate a checkpoint on CARLA in one SLURM job, with servers of its own: sbatch launch/slurm_evaluate.sh
# Submitted again, or put back into the queue, it goes on: only the routes that are missing are driven.
#SBATCH --job-name=carla-rl-evaluate
#SBATCH --nodes=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail

# ---- what to change; each may also be given in the environment (sbatch --export=ALL,SUITE=...)
VENV=${VENV:-.venv}                            # where carla-rl is installed
CARLA_SIF=${CARLA_SIF:-carla-0.9.16.sif}       # apptainer build carla-0.9.16.sif docker://carlasim/carla:0.9.16
CHECKPOINT=${CHECKPOINT:-out/rl/checkpoints/best.pt}
SUITE=${SUITE:-longest6_v2.xml}
SERVERS=${SERVERS:-1}                          # one env each; a server takes about 2 cores, 4 GB and GPU memory
GPUS=${GPUS:-0}                                # as the graphics adapters of this job are numbered
RESTART_EVERY=${RESTART_EVERY:-10}             # episodes after which a server is started anew
OUT=${OUT:-out}
RUN_ID=${RUN_ID:-evaluate-${SLURM_JOB_NAME:-here}}
# ----

servers=(--apptainer "$CARLA_SIF" --servers "$SERVERS" --gpus "$GPUS" --restart-every "$RESTART_EVERY")
if [ -e "$OUT/$RUN_ID/config.json" ]; then
    exec "$VENV/bin/carla-rl" evaluate --resume "$OUT/$RUN_ID" "${servers[@]}"
fi
# exec: SLURM's signal reaches carla-rl itself, which ends its servers
exec "$VENV/bin/carla-rl" evaluate --checkpoint "$CHECKPOINT" --suite "$SUITE" --simulator carla "${servers[@]}" --out "$OUT" --run-id "$RUN_ID"
