#!/bin/sh
# Build source distribution and wheel, and try both with every supported Python that is found (or
# those that PYTHONS names): installed away from the checkout, from music to predictions. Only then
# do they go into dist. With --tests, each Python also runs the whole suite from the unpacked source
# distribution.
set -eu
cd "$(dirname "$0")"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pip_of() {
    env=$1
    shift
    "$env/bin/python" -m pip --disable-pip-version-check "$@" --quiet
}

"${PYTHON:-python3}" -m venv "$scratch/build"
pip_of "$scratch/build" install build
"$scratch/build/bin/python" -m build --outdir "$scratch/dist" . > "$scratch/build.log" || {
    cat "$scratch/build.log"
    exit 1
}
sdist=$(echo "$scratch"/dist/*.tar.gz) wheel=$(echo "$scratch"/dist/*.whl)
tar -xzf "$sdist" -C "$scratch"
unpacked="$scratch/$(basename "$sdist" .tar.gz)"

# What the repository does not hold has no place in a distribution either.
if git ls-files > "$scratch/known" 2> /dev/null; then
    (cd "$unpacked" && find . -type f ! -name PKG-INFO) | cut -c3- > "$scratch/held"
    if grep --line-regexp --invert-match --fixed-strings --file "$scratch/known" "$scratch/held"; then
        echo "release.sh: the source distribution holds these files, the repository does not" >&2
        exit 1
    fi
fi

# Music to predictions, by what is installed in an environment, in a folder of its own.
chain() {
    mkdir "$2"
    (
        cd "$2"
        export GENRECLF_CACHE="$2/cache" GENRECLF_DATA="$2/data"
        demo=$("$1/bin/python" -c 'import genreclf; print(*genreclf.__path__)')/data/make_demo.py
        "$1/bin/python" "$demo" demo --tracks-per-style 2 --seconds 5
        "$1/bin/genreclf" extract demo/train -o features.csv --config wide
        "$1/bin/genreclf" train features.csv > report.txt
        "$1/bin/genreclf" predict demo/unheard
        "$1/bin/genreclf" predict demo/unheard --model "$(dirname "$demo")/gtzan.joblib" > bundled.txt
    )
}

tried='' skipped=''
for python in ${PYTHONS:-python3.11 python3.12 python3.13}; do
    env="$scratch/env"
    if ! "$python" -m venv "$env" 2> /dev/null; then
        skipped="$skipped $python"
        continue
    fi
    for distribution in "$wheel" "$sdist"; do
        echo "--- $("$python" --version), $(basename "$distribution")"
        pip_of "$env" uninstall --yes genreclf 2> /dev/null
        pip_of "$env" install "$distribution"
        chain "$env" "$scratch/chain"
        rm -r "$scratch/chain"
    done
    if [ "${1:-}" = --tests ]; then
        pip_of "$env" install "$sdist[test]"
        (cd "$unpacked" && "$env/bin/python" -m pytest -q --numprocesses auto --dist loadfile)
    fi
    rm -r "$env"
    tried="$tried $python"
done

[ -z "$skipped" ] || echo "release.sh: NOT TRIED, since not found:$skipped" >&2
[ -n "$tried" ] || exit 1
mkdir -p dist
cp "$sdist" "$wheel" dist
echo "release.sh: tried with$tried; in dist: $(basename "$sdist") $(basename "$wheel")"
