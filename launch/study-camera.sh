#!/usr/bin/env bash
# The study of docs/study.md for `tiny_multicam`, which sees a front camera: cloned, then refined by a supervised stage and by PPO, all on images
# that the toy simulator draws. What is there already is not done again, so that it can be interrupted at any time.
#
#   bash launch/study-camera.sh [OUT]
#   PART=32 bash launch/study-camera.sh out/small     # the same steps with a 32nd of the recordings, a 24th of the decisions and 8 drives, to see them run
#
# OUT: where everything goes (default out/study-camera).
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/venv.sh
make_venv
out=${1:-out/study-camera}
part=${PART:-1}
mkdir -p "$out"
run() { .venv/bin/carla-rl "$@" --simulator toy; }
learn() { .venv/bin/carla-rl "$@"; }

record() {  # FOLDER EPISODES, then who drives and which episodes
    [ -e "$out/$1/recording.json" ] && return
    rm -rf "${out:?}/$1"
    run record --suite train --episodes $(($2 / part)) --camera front "${@:3}" --out "$out/$1"
}

stage() {  # FOLDERS NAME: a supervised stage of the SFT model
    [ -e "$out/$2/warm_start.pt" ] && return
    learn warm-start --threads 2 --sft "$out/sft/model.pt" --episodes "$out/$1/*/episode.json" --config launch/study-camera.toml --out "$out/$2"
}

drive() {  # RUN, then who drives
    local suite=(--suite evaluation)
    [ "$part" = 1 ] || suite+=(--routes 0-7)
    [ -e "$out/test/$1/metrics.json" ] && return
    rm -rf "${out:?}/test/$1"
    run evaluate --threads 2 "${suite[@]}" "${@:2}" --out "$out/test" --run-id "$1" > /dev/null
}

if [ ! -e "$out/sft/model.pt" ]; then
    record sft-data 96 --noise 0.3
    learn sft --threads 2 --architecture tiny_multicam --epochs 4 --batch 64 --episodes "$out/sft-data/*/episode.json" --out "$out/sft"
fi

# none of the drives that the model was cloned from: the expert's, disturbed, then its plans where a first student gets to
record more/expert 192 --noise 0.3 --first 4
stage "more/expert" first
record more/own 96 --first 8 --checkpoint "$out/first/warm_start.pt"
stage "more/*" stage

if ! grep -qs '"complete": true' "$out/train/ppo/train_metrics.json"; then
    rm -rf "$out/train/ppo"
    run train --threads 2 --sft "$out/sft/model.pt" --init "$out/stage/warm_start.pt" --suite train --validation validation \
        --config launch/study-camera.toml --decisions $((393216 / (part < 24 ? part : 24))) --seed 0 --out "$out/train" --run-id ppo
fi

drive expert --policy expert
drive sft --checkpoint "$out/sft/model.pt"
drive stage --checkpoint "$out/stage/warm_start.pt"
drive ppo --checkpoint "$out/train/ppo/checkpoints/best.pt"
for refined in stage ppo; do learn gap --expert "$out/test/expert" --sft "$out/test/sft" "$out/test/$refined"; done
