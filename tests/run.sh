#!/bin/sh
# Builds and runs every test, with GCC and then with Clang: tests/run.sh [gcc] [clang]. Installs what is missing on
# Debian 12, where it may. Ends in the summary of CTest over both.
set -eu
cd "$(dirname "$0")/.."
compilers=${*:-gcc clang}

packages="g++ cmake ninja-build libxsimd-dev libfmt-dev catch2 python3 clang-format-19"
presets=""
for compiler in $compilers; do
    case $compiler in
        gcc) presets="$presets dev" ;;
        clang) presets="$presets clang-dev" packages="$packages clang-19 libomp-19-dev" ;;
        *) echo "usage: tests/run.sh [gcc] [clang]" >&2; exit 2 ;;
    esac
done

if command -v dpkg-query >/dev/null; then
    missing=""
    for package in $packages; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            *" installed") ;;
            *) missing="$missing $package" ;;
        esac
    done
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ]; then
            as_root="env"
        elif sudo -n true 2>/dev/null; then
            as_root="sudo env"
        else
            echo "tests/run.sh: missing packages, and no right to install them: apt-get install$missing" >&2
            exit 1
        fi
        $as_root apt-get update
        # shellcheck disable=SC2086  # a list of words
        $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    fi
fi

mkdir -p build
: >build/CTestTestfile.cmake
for preset in $presets; do
    cmake --preset "$preset"
    cmake --build --preset "$preset"
    echo "subdirs($preset)" >>build/CTestTestfile.cmake
done
exec ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)"
