#!/usr/bin/env bash
# Refine an SFT model by PPO on CARLA in one SLURM job, with servers of its own: sbatch launch/slurm_train.sh
# Submitted again, or put back into the queue, it goes on where it stood.
#SBATCH --job-name=carla-rl-train
#SBATCH --nodes=1
#SBATCH --gpus=2
#SBATCH --cpus-per-task=24
#SBATCH --mem=96G
#SBATCH --time=48:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail

# ---- what to change; each may also be given in the environment (sbatch --export=ALL,SUITE=...)
VENV=${VENV:-.venv}                            # where carla-rl is installed
CARLA_SIF=${CARLA_SIF:-carla-0.9.16.sif}       # apptainer build carla-0.9.16.sif docker://carlasim/carla:0.9.16
SFT=${SFT:-out/sft/model.pt}
SUITE=${SUITE:-train.xml}                      # routes to learn on
VALIDATION=${VALIDATION:-validation.xml}       # other routes, on which the best update is chosen
SERVERS=${SERVERS:-8}                          # one env each; a server takes about 2 cores, 4 GB and GPU memory
GPUS=${GPUS:-0,1}                              # as the graphics adapters of this job are numbered
RESTART_EVERY=${RESTART_EVERY:-10}             # episodes after which a server is started anew
OUT=${OUT:-out}
RUN_ID=${RUN_ID:-train-${SLURM_JOB_NAME:-here}}
# ----

servers=(--apptainer "$CARLA_SIF" --servers "$SERVERS" --gpus "$GPUS" --restart-every "$RESTART_EVERY")
if [ -e "$OUT/$RUN_ID/config.json" ]; then
    exec "$VENV/bin/carla-rl" train --resume "$OUT/$RUN_ID" "${servers[@]}"
fi
# exec: SLURM's signal reaches carla-rl itself, which ends after the update under way and ends its servers
exec "$VENV/bin/carla-rl" train --sft "$SFT" --suite "$SUITE" --validation "$VALIDATION" --simulator carla "${servers[@]}" \
    --out "$OUT" --run-id "$RUN_ID"
