#!/usr/bin/env bash
# The test suite. Arguments go to pytest (for instance -k gae, or tests/ppo).
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/venv.sh
make_venv
exec .venv/bin/python -m pytest -n 2 "$@"
