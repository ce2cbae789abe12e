#!/bin/sh
# Set up genreclf in .venv, make some music, and run the whole chain on it. Needs Python >= 3.11.
set -eu
cd "$(dirname "$0")"

"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check .

step() {
    printf '\n$ %s\n' "$*"
    ".venv/bin/$@"
}

step python data/make_demo.py demo
step genreclf extract demo/train -o demo/features.csv
step genreclf train demo/features.csv -o demo/model.joblib
step genreclf predict demo/unheard --model demo/model.joblib --top 3
