#!/bin/sh
# Sees to it that Debian packages are installed: require_packages.sh CALLER PACKAGE... Says nothing where none is
# missing. Installs what is, as root or by a sudo that asks for no password; otherwise says in one line what to do, in
# the name of CALLER. A machine without dpkg has names of its own for its packages, so there it does nothing.
set -eu
caller=$1
shift

command -v dpkg-query >/dev/null || exit 0
missing=""
for package; do
    # shellcheck disable=SC2016  # dpkg-query's variable, not the shell's
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *" installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root="env"
elif sudo -n true 2>/dev/null; then
    as_root="sudo env"
else
    echo "$caller: missing packages, and no right to install them; as root: apt-get install$missing" >&2
    exit 1
fi

echo "$caller: installing$missing"
# Not every source of packages need answer: whether the packages can be had is for the second command to say.
$as_root apt-get -qq update || true
# shellcheck disable=SC2086  # a list of words
$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing || {
    echo "$caller: apt-get could not install$missing" >&2
    exit 1
}
