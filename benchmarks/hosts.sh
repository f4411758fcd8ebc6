#!/bin/sh
# Runs an MPI program on hosts that are network namespaces of this machine, each behind a link of limited bandwidth, one
# rank on each: benchmarks/hosts.sh COUNT GBIT PROGRAM [ARGUMENT...]. Needs root, iproute2 and Open MPI
# (Debian: iproute2 openmpi-bin). What it makes is gone when it ends.
set -eu
[ $# -ge 3 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
count=$1 gbit=$2
shift 2

name=ctnn$$
folder=$(mktemp -d)
tidy() {
    host=1
    while [ "$host" -le "$count" ]; do
        ip netns del "$name-$host" 2>/dev/null || true
        host=$((host + 1))
    done
    ip link del "${name}b" 2>/dev/null || true
    rm -rf "$folder"
}
trap tidy EXIT
trap 'exit 130' INT TERM

ip link add "${name}b" type bridge
ip link set "${name}b" up
hosts=""
host=1
while [ "$host" -le "$count" ]; do
    ip netns add "$name-$host"
    ip link add "${name}v$host" type veth peer name eth0 netns "$name-$host"
    ip link set "${name}v$host" master "${name}b" up
    ip -n "$name-$host" addr add "10.77.0.$host/24" dev eth0
    ip -n "$name-$host" link set eth0 up
    ip -n "$name-$host" link set lo up
    ip netns exec "$name-$host" tc qdisc add dev eth0 root tbf rate "${gbit}gbit" burst 256kb latency 50ms
    hosts="$hosts${hosts:+,}10.77.0.$host:1"
    host=$((host + 1))
done

# In the place of ssh: HOST COMMAND...
cat >"$folder/agent" <<AGENT
#!/bin/sh
host=\${1##*.}
shift
exec ip netns exec "$name-\$host" unshare --uts sh -c "hostname host\$host; \$*"
AGENT
chmod +x "$folder/agent"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$name-1" unshare --uts sh -c 'hostname host1; exec "$@"' sh mpirun --host "$hosts" --bind-to none \
    --mca plm_rsh_agent "$folder/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
    --mca oob_tcp_if_include 10.77.0.0/24 "$@"
