#!/bin/sh
# Measures everything that docs/performance.md shows, and fills that page: about ten minutes on two cores, which should
# have nothing else to do. benchmarks/run.sh --quick takes tiny rounds and fills a copy in build/bench instead.
#
# Installs on Debian 12, where it may, what is needed to build. What else is there is used: oneDNN, OpenBLAS, PyTorch to
# run against, Clang, and matplotlib for the chart (libdnnl-dev libopenblas-dev python3-torch clang-19 libomp-19-dev
# python3-matplotlib).
set -eu
cd "$(dirname "$0")/.."
build=build/bench
results=$build/results
seconds=1 rounds=30 page=docs/performance.md
case ${1-} in
    "") ;;
    --quick) seconds=0.02 rounds=1 page=$build/performance.md ;;
    *) echo "usage: benchmarks/run.sh [--quick]" >&2; exit 2 ;;
esac
# The interpreter for which Debian has PyTorch and matplotlib.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

examples/require_packages.sh benchmarks/run.sh g++ cmake ninja-build libxsimd-dev libfmt-dev libpng-dev \
    libjpeg-dev zlib1g-dev libcli11-dev python3

# Figures of an earlier run must not pass for those of this one.
rm -rf "$results"
mkdir -p "$results"
cmake -B "$build" --preset release -DCTNN_EXAMPLES=ON -DCTNN_TESTS=OFF -DCTNN_WERROR=OFF \
    -DCTNN_ALEXNET_NETWORKS=lrn
cmake --build "$build" --target ctnn_bench alexnet
bench=$build/benchmarks/ctnn_bench

cores=$(nproc)
for threads in $(echo "1 $cores" | tr ' ' '\n' | sort -nu); do
    # OpenBLAS's threads spin for a tenth of a second after every call, which would have to be waited for; 2^20 cycles
    # are enough.
    OPENBLAS_THREAD_TIMEOUT=20 "$bench" kernels --threads "$threads" --seconds "$seconds" \
        --json "$results/kernels_$threads.json"
    "$bench" streams --threads "$threads" --seconds "$seconds" --json "$results/streams_$threads.json"
    "$bench" steps --threads "$threads" --seconds "$seconds" --json "$results/steps_$threads.json"
done
"$python" benchmarks/compare.py "$bench" --threads "$cores" --rounds "$rounds" --python "$python" \
    --json "$results/compare.json"
"$python" benchmarks/compile.py --json "$results/compile.json"
"$python" benchmarks/startup.py "$build/examples/alexnet/alexnet" --rounds "$rounds" --json "$results/startup.json"

[ "$page" = docs/performance.md ] || cp docs/performance.md "$page"
exec "$python" benchmarks/report.py "$results"/*.json --page "$page"
