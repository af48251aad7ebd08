#!/usr/bin/env bash
# The study of docs/study.md on the toy simulator, from nothing to its numbers. What is there already is not done again, so that it can be
# interrupted at any time. Each of the ten trainings takes about 10 minutes of one core, two run at a time.
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

clone() {  # NAME EPISODES NOISE: an SFT model of that many episodes of the expert
    [ -e "$out/$1/model.pt" ] && return
    rm -rf "$out/$1-data"
    run record --suite study-train --episodes "$2" --noise "$3" --out "$out/$1-data"
    .venv/bin/carla-rl sft --episodes "$out/$1-data/*/episode.json" --out "$out/$1"
}

train() {  # SFT RUN SETTINGS DECISIONS SEED
    [ -e "$out/train/$2/checkpoints/best.pt" ] && grep -q '"complete": true' "$out/train/$2/train_metrics.json" && return
    rm -rf "$out/train/$2"
    run train --sft "$out/$1/model.pt" --suite study-train --validation study-validation --config "$3" --decisions "$4" --seed "$5" \
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

clone weak 32 0
clone good 192 0.3

# two trainings at a time, each on one core
lanes=()
for base in weak good; do
    (for seed in "${seeds[@]}"; do train "$base" "$base-$seed" launch/study.toml 4000000 "$seed"; done) &
    lanes+=($!)
done
for lane in "${lanes[@]}"; do wait "$lane" || fail "a training failed; the last lines of $out/*.log say why. Run the script again when that is mended"; done

banks=(study-test)
[ -n "$routes" ] && banks+=(unseen)
for bank in "${banks[@]}"; do
    drive "$bank" expert --policy expert
    for base in weak good; do
        drive "$bank" $base --checkpoint "$out/$base/model.pt"
        for seed in "${seeds[@]}"; do drive "$bank" "$base-$seed" --checkpoint "$out/train/$base-$seed/checkpoints/best.pt"; done
        echo "$bank, $base SFT:"
        .venv/bin/carla-rl gap --expert "$out/$bank/expert" --sft "$out/$bank/$base" "${seeds[@]/#/$out/$bank/$base-}"
    done
done
