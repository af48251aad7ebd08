#!/usr/bin/env bash
# The whole story on the toy simulator: record, clone, evaluate, refine with PPO, evaluate, compare.
# Arguments go to `carla-rl demo` (for instance --quick). Leaves out/<run_id>/.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/venv.sh
make_venv
exec .venv/bin/carla-rl demo "$@"
