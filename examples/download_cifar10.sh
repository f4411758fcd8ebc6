#!/bin/sh
# Fetches CIFAR-10's binary files: examples/download_cifar10.sh [DIR], by default <this repository>/datasets/cifar10.
# DIR appears complete or not at all. CTNN_CIFAR10_URL names another source of the archive, file:// included, and
# CTNN_CIFAR10_MD5 another checksum.
set -eu

fail() {
    echo "download_cifar10.sh: $*" >&2
    exit 1
}

# The first thing that a folder lacks to be CIFAR-10; nothing where it is complete.
flaw() {
    for batch in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
        [ -f "$1/$batch.bin" ] || { echo "found no $batch.bin, expected one"; return; }
        size=$(stat -Lc %s -- "$1/$batch.bin")
        [ "$size" = 30730000 ] || { echo "found $size bytes in $batch.bin, expected 30730000"; return; }
    done
    [ -s "$1/batches.meta.txt" ] || echo "found no batches.meta.txt, expected one"
}

case $#${1-} in
    0 | 1 | 1[!-]*) ;;
    *) fail "usage: download_cifar10.sh [DIR]" ;;
esac
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-$root/datasets/cifar10}
url=${CTNN_CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
md5=${CTNN_CIFAR10_MD5:-c32a1d4ab5d03f1284b67883e8d87530}

if [ -e "$folder" ] || [ -L "$folder" ]; then
    found=$(flaw "$folder")
    [ -z "$found" ] || fail "$folder: $found; move it away or name another folder"
    echo "CIFAR-10 is in $folder already."
    exit 0
fi
case $url in
    file://*) with="cp" ;;
    *)
        with=$(command -v curl || command -v wget) ||
            fail "found neither curl nor wget; as root: apt-get install curl ca-certificates"
        ;;
esac

# Whatever happens, no more stays than was there: neither the temporary folder nor the empty folders above it.
parent=$(dirname -- "$folder")
made=$parent # the topmost folder that is not there yet
while [ ! -e "$(dirname -- "$made")" ]; do
    made=$(dirname -- "$made")
done
[ ! -e "$parent" ] || made=""
temporary=""
child=""
clean_up() {
    trap '' HUP INT TERM
    [ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null || true
    [ -z "$temporary" ] || rm -rf -- "$temporary"
    [ -z "$made" ] || find "$made" -depth -type d -empty -delete 2>/dev/null || true
}
trap clean_up EXIT
trap 'fail "interrupted, nothing is kept"' HUP INT TERM
trap '' XFSZ # so that a limit of file sizes makes those who write speak, instead of killing them
reason=$(mkdir -p -- "$parent" 2>&1) || fail "$reason"
temporary=$(mktemp -d -- "$parent/.cifar10.XXXXXX" 2>&1) || { reason=$temporary temporary="" && fail "$reason"; }
archive=$temporary/archive.tar.gz

fetch() {
    case $with in
        cp) exec cp -- "${url#file://}" "$archive" ;;
        *curl) exec curl -fsSL --connect-timeout 30 -o "$archive" -- "$url" ;;
        *) exec wget -nv --timeout=30 --tries=2 -O "$archive" -- "$url" ;;
    esac
}
echo "Fetching $url (170 MB)"
# The reason of a failure goes over blank lines, so that there is room for it on a full disk.
head -c 1000 /dev/zero | tr '\0' '\n' 2>/dev/null >"$temporary/reason" || fail "$parent: no room to write"
# In the background, because the shell attends to signals only between commands and in a wait.
fetch 2<>"$temporary/reason" &
child=$!
while [ -t 2 ] && kill -0 "$child" 2>/dev/null; do
    printf '\r%d MB' $(($(stat -c %s "$archive" 2>/dev/null || echo 0) / 1000000)) >&2
    sleep 0.2
done
[ ! -t 2 ] || printf '\r\033[K' >&2
wait "$child" || {
    child=""
    reason=$(grep . "$temporary/reason" | tail -n 1)
    fail "$url: ${reason:-$with failed}"
}
child=""

found=$(md5sum <"$archive")
[ "${found%% *}" = "$md5" ] || fail "$url: found md5 ${found%% *}, expected $md5"
reason=$(tar -xzof "$archive" -C "$temporary" 2>&1) || fail "$url: $(echo "$reason" | head -n 1)"
found=$(flaw "$temporary/cifar-10-batches-bin")
[ -z "$found" ] || fail "$url, cifar-10-batches-bin: $found"
# -T: where another download was quicker, this one fails instead of moving into its folder.
reason=$(mv -T -- "$temporary/cifar-10-batches-bin" "$folder" 2>&1) || fail "$reason"
echo "CIFAR-10 is in $folder."
