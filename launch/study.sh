#!/usr/bin/env bash
# The study of docs/study.md on the toy simulator, from nothing to its numbers. What is there already is not done again, so that it can be
# interrupted at any time. Each of the thirty trainings takes 5 to 10 minutes of one core, two run at a time.
#
#   bash launch/study.sh [OUT] [MAPS ROUTES]
#   SEEDS=0 PART=32 bash launch/study.sh out/small     # the same steps with a 32nd of the recordings, an 8th of the decisions, one seed and 8 drives a bank, to see them run
#
# OUT: where everything goes (default out/study). MAPS and ROUTES: a folder with CARLA's Town02 and Town04 (.xodr) and Longest6 v2's route
# file, for the drives through towns that nobody trained on; without them these are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/venv.sh
make_venv
out=${1:-out/study} maps=${2:-} routes=${3:-}
read -ra seeds <<< "${SEEDS:-0 1 2 3 4}"
part=${PART:-1}
mkdir -p "$out"
run() { OMP_NUM_THREADS=1 .venv/bin/carla-rl "$@" --simulator toy; }
learn() { OMP_NUM_THREADS=1 .venv/bin/carla-rl "$@"; }

record() {  # FOLDER SUITE EPISODES, then who drives and which episodes
    [ -e "$out/$1/recording.json" ] && return
    rm -rf "${out:?}/$1"
    run record --suite "$2" --episodes $(($3 / part)) "${@:4}" --out "$out/$1"
}

clone() {  # NAME EPISODES, then how they are recorded: an SFT model of that many episodes of the expert
    [ -e "$out/$1/model.pt" ] && return
    record "$1-data" study-train $(($2 * part)) "${@:3}"
    learn sft --episodes "$out/$1-data/*/episode.json" --out "$out/$1"
}

stage() {  # SFT FOLDERS NAME SETTINGS: a supervised stage of an SFT model
    [ -e "$out/$3/warm_start.pt" ] && return
    learn warm-start --sft "$out/$1/model.pt" --episodes "$out/$2/*/episode.json" --config "$4" --out "$out/$3"
}

train() {  # SFT RUN SUITE SETTINGS DECISIONS SEED, then what it starts from
    [ -e "$out/train/$2/checkpoints/best.pt" ] && grep -q '"complete": true' "$out/train/$2/train_metrics.json" && return
    rm -rf "$out/train/$2"
    run train --sft "$out/$1/model.pt" --suite "$3" --validation study-validation --config "$4" --decisions $(($5 / (part < 8 ? part : 8))) --seed "$6" "${@:7}" \
        --out "$out/train" --run-id "$2" > "$out/$2.log" 2>&1
}

drive() {  # BANK RUN, then who drives
    local bank=$1 name=$2 suite=(--suite "$1")
    shift 2
    [ "$part" = 1 ] || suite+=(--routes 0-7)
    [ "$bank" = unseen ] && suite=(--suite "$routes" --routes "Town02,Town04" --maps "$maps" --skip-unsupported)
    [ -e "$out/$bank/$name/metrics.json" ] && return
    rm -rf "${out:?}/$bank/$name"
    run evaluate "${suite[@]}" "$@" --out "$out/$bank" --run-id "$name" > /dev/null
}

compare() {  # BANK STAGE, "" for PPO alone: everybody who is driven there, and what of the gap they close
    local bank=$1 stage=${2:+-$2} base seed
    drive "$bank" expert --policy expert
    for base in weak good; do
        drive "$bank" $base --checkpoint "$out/$base/model.pt"
        if [ -n "$stage" ]; then
            drive "$bank" "$base$stage-stage" --checkpoint "$out/$base$stage/warm_start.pt"
            echo "$bank, $base SFT, the supervised stage, $2:"
            learn gap --expert "$out/$bank/expert" --sft "$out/$bank/$base" "$out/$bank/$base$stage-stage"
        fi
        for seed in "${seeds[@]}"; do drive "$bank" "$base$stage-$seed" --checkpoint "$out/train/$base$stage-$seed/checkpoints/best.pt"; done
        echo "$bank, $base SFT, ${2:-no stage}, PPO:"
        learn gap --expert "$out/$bank/expert" --sft "$out/$bank/$base" "${seeds[@]/#/$out/$bank/$base$stage-}"
    done
}

clone weak 32
# none of the drives that the supervised stage learns from
clone good 192 --noise 0.3 --first 10

# what the first supervised stage learns from: the expert, disturbed, and its plans where a first student gets to
record recorded/expert study-train 768 --noise 0.3
stage weak recorded/expert first launch/study.toml
record recorded/own study-train 576 --first 4 --checkpoint "$out/first/warm_start.pt"
for base in weak good; do stage $base "recorded/*" $base-one launch/study-staged.toml; done

# what the second one learns from besides: the same on more routes, where the heads of the first get to
record recorded/more-expert study-train-2 864 --routes 0-287 --noise 0.3
record recorded/flows-expert study-train-2 192 --routes 288-351 --noise 0.3
first=4
for base in weak good; do
    record recorded/more-$base study-train-2 432 --routes 0-287 --first $first --checkpoint "$out/$base-one/warm_start.pt"
    record recorded/flows-$base study-train-2 128 --routes 288-351 --first $first --checkpoint "$out/$base-one/warm_start.pt"
    first=8
done

# two trainings at a time, each on one core
lanes=()
for base in weak good; do
    (
        stage $base "recorded/*" $base-two launch/study-more.toml
        for seed in "${seeds[@]}"; do
            train $base "$base-two-$seed" study-train-2 launch/study-more.toml 2000000 "$seed" --init "$out/$base-two/warm_start.pt"
        done
        for seed in "${seeds[@]}"; do
            train $base "$base-one-$seed" study-train launch/study-staged.toml 2000000 "$seed" --init "$out/$base-one/warm_start.pt"
        done
        for seed in "${seeds[@]}"; do train $base "$base-$seed" study-train launch/study.toml 4000000 "$seed"; done
    ) &
    lanes+=($!)
done
for lane in "${lanes[@]}"; do wait "$lane" || fail "a training failed; the last lines of $out/*.log say why. Run the script again when that is mended"; done

compare study-test ""
compare study-test-2 one
compare study-test-4 two
if [ -n "$routes" ]; then
    for way in "" one two; do compare unseen "$way"; done
fi
