#!/bin/sh
# Which lines of include/ the tests of the library run: tests/coverage.sh. Builds without optimisation, so that no line is
# merged into another, runs the unit tests, for every instruction set that is there, and the gradients of layers, and ends in
# gcovr's summary; build/coverage/coverage.txt names the lines that no test ran, build/coverage/index.html shows them. Fails
# below 95 %.
set -eu
cd "$(dirname "$0")/.."

examples/require_packages.sh tests/coverage.sh g++ cmake ninja-build libxsimd-dev libfmt-dev zlib1g-dev catch2 python3 gcovr

build=build/coverage
cmake --preset coverage -DCTNN_BENCHMARKS=OFF -DCTNN_EXAMPLES=OFF
find $build -name '*.gcda' -delete
cmake --build --preset coverage # which runs the writer of weights as a header
ctest --preset coverage --parallel "$(nproc)" \
    --tests-regex '\.(unit|isa|link|embed|no_exceptions)($|\.)|\.gradient\.(checker|layers)$'
exec gcovr --root . --object-directory $build --filter include/ --exclude-unreachable-branches --exclude-throw-branches \
    --sort-percentage --fail-under-line 95 --html-details $build/index.html --txt $build/coverage.txt --print-summary
