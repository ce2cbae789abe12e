#!/bin/sh
# Set up genreclf with its test tools in .venv-test and run the tests. Arguments go to pytest.
set -eu
cd "$(dirname "$0")"

"${PYTHON:-python3}" -m venv .venv-test
.venv-test/bin/pip install --quiet --disable-pip-version-check '.[test]'
.venv-test/bin/python -m pytest --numprocesses auto --dist loadfile "$@"
