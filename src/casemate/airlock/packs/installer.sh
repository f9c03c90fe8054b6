#!/bin/sh
# Install Casemate @VERSION@ beside what is there, without a network; or go back to the version before.
#
#   ./install.sh [FOLDER]          install into FOLDER/versions/@VERSION@ and switch FOLDER/current to it
#   ./install.sh --back [FOLDER]   switch FOLDER/current back to the version before (FOLDER/install.sh does it too)
#
# FOLDER is /opt/casemate if it is not given; PYTHON names the interpreter (python3). Every wheel must have the digest
# that requirements.txt gives; a version that does not start is never switched to; the switch is one rename.
set -eu
version='@VERSION@'
needed='@PYTHON@'
here=$(cd "$(dirname "$0")" && pwd)
back=no
if [ "${1:-}" = --back ]; then back=yes; shift; fi
root=${1:-/opt/casemate}
python=${PYTHON:-python3}

no() { echo "install.sh: $1: expected $2, found $3" >&2; exit 3; }
current() { if [ -L "$root/current" ]; then basename "$(readlink "$root/current")"; fi; }
switch() {
    rm -f "$root/.current.new"
    ln -s "versions/$1" "$root/.current.new"
    mv -T "$root/.current.new" "$root/current"
    sync "$root"
    echo "Casemate $1 is current: $root/current/bin/casemate"
}

if [ "$back" = yes ]; then
    now=$(current)
    [ -n "$now" ] || no "$root/current" "an installed version" none
    [ -f "$root/versions/$now.before" ] || no "the version before $now" "one to go back to" none
    before=$(cat "$root/versions/$now.before")
    [ -f "$root/versions/$before.whole" ] || no "$root/versions/$before" "a whole installation" "none or a part of one"
    switch "$before"
    exit 0
fi

[ -f "$here/requirements.txt" ] || no "$here" "the wheels of Casemate $version" none
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || no "$python" "Python $needed" none
[ "$found" = "$needed" ] || no "$python" "Python $needed" "Python $found"
home=$root/versions/$version
mkdir -p "$root/versions"
if command -v flock >/dev/null; then
    exec 9>"$root/.lock"
    flock -n 9 || no "$root" "no other installation at work" one
fi
wheels=$(sha256sum <"$here/requirements.txt")
if [ -f "$home.whole" ]; then
    [ "$(cat "$home.whole")" = "$wheels" ] || no "$home" "the wheels of this folder" "others, installed as $version"
else
    # What a cut installation left is no version: it is made again.
    rm -rf "$home"
    "$python" -m venv "$home"
    # No setting of the machine counts: only these wheels, and only with these digests.
    PIP_CONFIG_FILE=/dev/null "$home/bin/python" -m pip --isolated --disable-pip-version-check --quiet install \
        --no-index --find-links "$here" --no-deps --only-binary :all: --require-hashes -r "$here/requirements.txt"
    PIP_CONFIG_FILE=/dev/null "$home/bin/python" -m pip --isolated --disable-pip-version-check check >/dev/null \
        || no "$home" "packages that agree" "some that do not (bin/python -m pip check)"
    "$home/bin/casemate" --help >/dev/null || no "casemate $version" "a program that starts" "one that does not"
    sync -f "$home"
    echo "$wheels" >"$home.whole.new"
    mv -T "$home.whole.new" "$home.whole"
fi
cp "$here/install.sh" "$root/.install.sh.new"
mv -T "$root/.install.sh.new" "$root/install.sh"
now=$(current)
if [ -n "$now" ] && [ "$now" != "$version" ]; then
    echo "$now" >"$home.before.new"
    mv -T "$home.before.new" "$home.before"
fi
switch "$version"
