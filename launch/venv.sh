# shellcheck shell=bash
# Sourced by the scripts beside it, from the root of the checkout: makes .venv with the pinned set, once.
# A second call installs nothing and needs no network, unless pyproject.toml or constraints.txt have changed.
# PYTHON names the interpreter to use (3.11 or 3.12); without it the first that is found is taken.

fail() { printf '%s\n' "$*" >&2; exit 2; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3 python}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or 3.12 found (tried: ${PYTHON:-python3.11 python3.12 python3 python}); install one or set PYTHON=/path/to/python3.11"
}

make_venv() {
    local python stamp
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python) || exit 2
        "$python" -m venv .venv || fail "could not make .venv with $python; is its venv module installed (Debian: python3-venv)?"
    fi
    stamp=$(cat pyproject.toml constraints.txt | cksum)
    if [ "$(cat .venv/installed 2>/dev/null)" != "$stamp" ]; then
        echo "Installing the pinned set into .venv (once)"
        .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[carla,dev,towns]' \
            || fail "the installation failed; its last lines say why. Run the script again when that is mended"
        printf '%s' "$stamp" > .venv/installed
    fi
}
