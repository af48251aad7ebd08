#!/usr/bin/env bash
# One CARLA server on a machine without carla-rl, by docker or from the unpacked folder of CARLA:
#
#   bash launch/carla_server.sh start | status | logs | stop
#
# It ends only what it started: the container by its name, the program by its process group. With carla-rl installed,
# `carla-rl server start` does more: free ports, several servers, tries again, asks for the version.
set -euo pipefail

# ---- what to change; each may also be given in the environment
CARLA_IMAGE=${CARLA_IMAGE:-carlasim/carla:0.9.16}  # docker image; the version has to be the client's
CARLA_BINARY=${CARLA_BINARY:-}                     # path of CarlaUE4.sh: it is started instead of the image
CARLA_PORT=${CARLA_PORT:-2000}                     # RPC; the next two ports are taken as well
CARLA_GPU=${CARLA_GPU:-0}                          # number of the GPU
CARLA_QUALITY=${CARLA_QUALITY:-Epic}               # Epic or Low
CARLA_RENDERING=${CARLA_RENDERING:-yes}            # no: no cameras and no GPU
CARLA_START_S=${CARLA_START_S:-240}                # it listens within so many seconds
CARLA_FOLDER=${CARLA_FOLDER:-${TMPDIR:-/tmp}/carla-server-$(id -u)}  # log and process number
# ----

name=carla-server-$CARLA_PORT
log=$CARLA_FOLDER/$name.log
state=$CARLA_FOLDER/$name.pid
flags=(-carla-rpc-port="$CARLA_PORT" -carla-streaming-port=$((CARLA_PORT + 1)) -carla-primary-port=$((CARLA_PORT + 2)) -nosound)
if [ "$CARLA_RENDERING" = yes ]; then flags+=(-RenderOffScreen -quality-level="$CARLA_QUALITY"); else flags+=(-nullrhi); fi

fail() { printf '%s\n' "$*" >&2; exit 1; }
listens() { (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
# when a process was started: a later one of the same number is not ours
born() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2> /dev/null || true; }
container() { docker container inspect --format '{{.State.Running}}' "$name" 2> /dev/null || true; }

running() {
    if [ -z "$CARLA_BINARY" ]; then [ "$(container)" = true ]; return; fi
    local pid birth
    [ -f "$state" ] && read -r pid birth < "$state" && [ -n "$birth" ] && [ "$(born "$pid")" = "$birth" ]
}

logs() { if [ -z "$CARLA_BINARY" ]; then docker logs --tail 30 "$name"; else tail -n 30 "$log"; fi; }

start_container() {
    # what is left of a start that ended, of this name only
    if [ -n "$(container)" ]; then docker rm "$name" > /dev/null; fi
    local gpu=()
    # NVIDIA's runtime gives no graphics by itself: the server would end without a word
    if [ "$CARLA_RENDERING" = yes ]; then gpu=(--gpus "device=$CARLA_GPU" --env NVIDIA_DRIVER_CAPABILITIES=all); fi
    docker run --detach --init --name "$name" --network host "${gpu[@]}" "$CARLA_IMAGE" /bin/bash ./CarlaUE4.sh "${flags[@]}" > /dev/null
}

start_binary() {
    [ -x "$CARLA_BINARY" ] || fail "CARLA_BINARY=$CARLA_BINARY: no such program; give CarlaUE4.sh in the unpacked folder of CARLA"
    if [ "$CARLA_RENDERING" = yes ]; then flags+=(-graphicsadapter="$CARLA_GPU"); fi
    setsid "$CARLA_BINARY" "${flags[@]}" > "$log" 2>&1 < /dev/null &
    printf '%s %s\n' $! "$(born $!)" > "$state"
}

start() {
    running && fail "$name runs already; bash $0 stop ends it"
    local port
    for port in "$CARLA_PORT" $((CARLA_PORT + 1)) $((CARLA_PORT + 2)); do
        if listens "$port"; then fail "port $port is taken; end what listens there, or set CARLA_PORT"; fi
    done
    mkdir -p "$CARLA_FOLDER"
    if [ -z "$CARLA_BINARY" ]; then start_container; else start_binary; fi
    local end=$((SECONDS + CARLA_START_S))
    until listens "$CARLA_PORT"; do
        running || { logs >&2; fail "$name ended at its start; the lines above are the end of its log"; }
        [ $SECONDS -lt $end ] || { logs >&2; stop; fail "$name did not listen within $CARLA_START_S s and was ended; above is the end of its log"; }
        sleep 1
    done
    echo "$name listens on port $CARLA_PORT; carla-rl doctor --carla HOST:$CARLA_PORT asks it for its version and maps"
}

stop() {
    running || { echo "$name does not run"; return; }
    if [ -z "$CARLA_BINARY" ]; then docker stop -t 10 "$name" > /dev/null && docker rm "$name" > /dev/null; echo "$name ended"; return; fi
    local pid _birth i
    read -r pid _birth < "$state"
    kill -TERM -- "-$pid"
    for ((i = 0; i < 100; i++)); do
        kill -0 -- "-$pid" 2> /dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2> /dev/null || true
    rm -f "$state"
    echo "$name ended"
}

status() { if running; then echo "$name runs; port $CARLA_PORT $(listens "$CARLA_PORT" && echo listens || echo 'does not listen')"; else echo "$name does not run"; return 1; fi; }

case "${1:-}" in
    start | stop | status | logs) "$1" ;;
    *) printf 'usage: bash %s start | status | logs | stop\n' "$0" >&2; exit 2 ;;
esac
