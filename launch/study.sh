#!/usr/bin/env bash
# The study of docs/study.md on the toy simulator, from nothing to its numbers. What is there already is not done again, so that it can be
# interrupted at any time. Each of the twenty trainings takes 5 to 10 minutes of one core, two run at a time.
#
#   bash launch/study.sh [OUT] [MAPS ROUTES]
#
# OUT: where everything goes (default out/study). MAPS and ROUTES: a folder with CARLA's Town02 and Town04 (.xodr) and Longest6 v2's route
# file, for the drives through towns that nobody trained on; without them these are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/venv.sh
make_venv
out=${1:-out/study} maps=${2:-} routes=${3:-}
seeds=(0 1 2 3 4)
mkdir -p "$out"
run() { OMP_NUM_THREADS=1 .venv/bin/carla-rl "$@" --simulator toy; }
learn() { OMP_NUM_THREADS=1 .venv/bin/carla-rl "$@"; }

clone() {  # NAME EPISODES NOISE FIRST: an SFT model of that many episodes of the expert
    [ -e "$out/$1/model.pt" ] && return
    rm -rf "$out/$1-data"
    run record --suite study-train --episodes "$2" --noise "$3" --first "$4" --out "$out/$1-data"
    learn sft --episodes "$out/$1-data/*/episode.json" --out "$out/$1"
}

stage_data() {  # what the supervised stage learns from: the expert, disturbed, and its plans where a first student gets to
    [ -e "$out/stage/own/recording.json" ] && return
    rm -rf "$out/stage"
    run record --suite study-train --episodes 768 --noise 0.3 --out "$out/stage/expert"
    learn warm-start --sft "$out/weak/model.pt" --episodes "$out/stage/expert/*/episode.json" --config launch/study.toml --out "$out/first"
    run record --suite study-train --episodes 576 --first 4 --checkpoint "$out/first/warm_start.pt" --out "$out/stage/own"
}

stage() {  # SFT: its supervised stage
    [ -e "$out/$1-stage/warm_start.pt" ] && return
    learn warm-start --sft "$out/$1/model.pt" --episodes "$out/stage/*/*/episode.json" --config launch/study-staged.toml --out "$out/$1-stage"
}

train() {  # SFT RUN SETTINGS DECISIONS SEED, then what it starts from
    [ -e "$out/train/$2/checkpoints/best.pt" ] && grep -q '"complete": true' "$out/train/$2/train_metrics.json" && return
    rm -rf "$out/train/$2"
    run train --sft "$out/$1/model.pt" --suite study-train --validation study-validation --config "$3" --decisions "$4" --seed "$5" "${@:6}" \
        --out "$out/train" --run-id "$2" > "$out/$2.log" 2>&1
}

drive() {  # BANK RUN, then who drives
    local bank=$1 name=$2 suite=(--suite "$1")
    shift 2
    [ "$bank" = unseen ] && suite=(--suite "$routes" --routes "Town02,Town04" --maps "$maps" --skip-unsupported)
    [ -e "$out/$bank/$name/metrics.json" ] && return
    rm -rf "${out:?}/$bank/$name"
    run evaluate "${suite[@]}" "$@" --out "$out/$bank" --run-id "$name" > /dev/null
}

compare() {  # BANK: everybody who is driven there, and what of the gap they close
    drive "$1" expert --policy expert
    for base in weak good; do
        drive "$1" $base --checkpoint "$out/$base/model.pt"
        if [ "$1" != study-test ]; then
            drive "$1" $base-stage --checkpoint "$out/$base-stage/warm_start.pt"
            for seed in "${seeds[@]}"; do drive "$1" "$base-staged-$seed" --checkpoint "$out/train/$base-staged-$seed/checkpoints/best.pt"; done
            echo "$1, $base SFT, the supervised stage alone and with PPO after it:"
            learn gap --expert "$out/$1/expert" --sft "$out/$1/$base" "$out/$1/$base-stage"
            learn gap --expert "$out/$1/expert" --sft "$out/$1/$base" "${seeds[@]/#/$out/$1/$base-staged-}"
        fi
        [ "$1" = study-test-2 ] && continue
        for seed in "${seeds[@]}"; do drive "$1" "$base-$seed" --checkpoint "$out/train/$base-$seed/checkpoints/best.pt"; done
        echo "$1, $base SFT, PPO alone:"
        learn gap --expert "$out/$1/expert" --sft "$out/$1/$base" "${seeds[@]/#/$out/$1/$base-}"
    done
}

clone weak 32 0 0
# none of the drives that the supervised stage learns from
clone good 192 0.3 10
stage_data

# two trainings at a time, each on one core
lanes=()
for base in weak good; do
    (
        stage "$base"
        for seed in "${seeds[@]}"; do
            train "$base" "$base-staged-$seed" launch/study-staged.toml 2000000 "$seed" --init "$out/$base-stage/warm_start.pt"
        done
        for seed in "${seeds[@]}"; do train "$base" "$base-$seed" launch/study.toml 4000000 "$seed"; done
    ) &
    lanes+=($!)
done
for lane in "${lanes[@]}"; do wait "$lane" || fail "a training failed; the last lines of $out/*.log say why. Run the script again when that is mended"; done

compare study-test
compare study-test-2
if [ -n "$routes" ]; then compare unseen; fi
