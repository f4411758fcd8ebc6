#!/bin/sh
# Builds and runs every test, with GCC and then with Clang: tests/run.sh [gcc] [clang]. Installs what is missing on
# Debian 12, where it may. Ends in the summary of CTest over both.
set -eu
cd "$(dirname "$0")/.."
compilers=${*:-gcc clang}

packages="g++ cmake ninja-build libxsimd-dev libfmt-dev libpng-dev libjpeg-dev zlib1g-dev libcli11-dev catch2 python3 clang-format-19 clang-tidy-19 cppcheck qemu-user protobuf-compiler doxygen dataset-fashion-mnist chromium libopenmpi-dev openmpi-bin"
presets=""
for compiler in $compilers; do
    case $compiler in
        gcc) presets="$presets dev" packages="$packages g++-aarch64-linux-gnu gcovr" ;;
        clang) presets="$presets clang-dev" packages="$packages clang-19 libomp-19-dev libclang-rt-19-dev" ;;
        *) echo "usage: tests/run.sh [gcc] [clang]" >&2; exit 2 ;;
    esac
done

# shellcheck disable=SC2086  # a list of words
examples/require_packages.sh tests/run.sh $packages

mkdir -p build
: >build/CTestTestfile.cmake
for preset in $presets; do
    # Of the tool's networks, half a minute each, those that tests use; the others are checked without making code. Unit
    # tests and benchmarks have less optimisation than users give them, for time: GCC's for debuggers, which inlines what
    # must be and little else, Clang's none; gradients, training, the program and the matrix have all. GCC's unit tests
    # count lines, Clang's have sanitizers, and Clang fuzzes each reader for a minute. Of two compilers, the second has the
    # unit tests on the single header, those for other instruction sets, one network, and little optimisation.
    set -- "-DCTNN_ALEXNET_NETWORKS=small;small_winograd;small100;alexnet32"
    case $preset in
        dev) set -- "$@" -DCTNN_UNTIMED_OPTIONS=-Og -DCTNN_UNIT_COVERAGE=ON ;;
        clang-dev) set -- "$@" -DCTNN_UNTIMED_OPTIONS=-O0 -DCTNN_UNIT_SANITIZERS=ON -DCTNN_FUZZ_SECONDS=60 ;;
    esac
    # GCC is a tenth quicker where it may leave its garbage, which takes half as much memory again.
    if [ "$preset" = dev ] && awk '/^MemAvailable/ { exit $2 < 12e6 }' /proc/meminfo; then
        set -- "$@" "-DCMAKE_CXX_FLAGS=--param=ggc-min-heapsize=1000000 --param=ggc-min-expand=300"
    fi
    if [ "$presets" = " dev clang-dev" ]; then
        case $preset in
            dev) set -- "$@" -DCTNN_TEST_ISAS=OFF ;;
            clang-dev)
                set -- "$@" -DCTNN_ALEXNET_NETWORKS=small -DCTNN_TEST_SINGLE_HEADER=ON -DCTNN_TEST_ISAS=ON \
                    -DCMAKE_CXX_FLAGS_RELEASE=-O1 ;;
        esac
    fi
    cmake --preset "$preset" "$@"
    cmake --build --preset "$preset"
    echo "subdirs($preset)" >>build/CTestTestfile.cmake
done
# One test more than processors: some sleep, for a rank that is late or a program that is to be killed.
exec ctest --test-dir build --output-on-failure --no-tests=error --parallel $(($(nproc) + 1))
