#!/bin/sh
# Builds the program alexnet and trains a network with it: examples/run.sh [argument of `alexnet train`]... Installs
# what is missing on Debian 12, where it may. Trains for 3 epochs, and on <this repository>/datasets/cifar10 if that is
# there, unless the arguments say otherwise.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build/run # its own, so that a developer's build/release keeps its settings
log=$build/run.log

"$root/examples/require_packages.sh" examples/run.sh g++ cmake ninja-build libxsimd-dev libfmt-dev \
    libpng-dev libjpeg-dev zlib1g-dev libcli11-dev

failed() {
    echo "examples/run.sh: the build failed; the reason is above" >&2
    exit 1
}
# What CMake and the compiler say matters only where they fail.
quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        failed
    }
}
announcement="Building alexnet; the first time takes some five minutes on two cores"
if [ -t 1 ]; then echo "$announcement."; else echo "$announcement. Progress: $log"; fi
mkdir -p "$build"
quietly cmake -S "$root" -B "$build" --preset release -DCTNN_TESTS=OFF -DCTNN_BENCHMARKS=OFF \
    -DCTNN_WERROR=OFF # a newer compiler's new warnings are no reason not to train
if [ -t 1 ]; then
    cmake --build "$build" --target alexnet || failed # to a terminal Ninja says how far it is, on one line
else
    quietly cmake --build "$build" --target alexnet
fi

given=" "
for argument; do
    case $argument in
        -h | --help) given="$given --help " ;;
        synthetic | --dataset=synthetic) given="$given --synthetic " ;;
        --*) given="$given ${argument%%=*} " ;;
    esac
done
# Whether the arguments have one of these options.
has() {
    for option; do
        case $given in *" $option "*) return 0 ;; esac
    done
    return 1
}
if ! has --help --resume --data-dir --synthetic && [ -e "$root/datasets/cifar10/data_batch_1.bin" ]; then
    set -- --data-dir "$root/datasets/cifar10" "$@"
fi
if ! has --help --resume --epochs; then
    set -- --epochs 3 "$@"
fi
exec "$build/examples/alexnet/alexnet" train "$@"
