#!/bin/sh
# Runs a command as if on a host of its own: another name, another monotonic clock, another /sys.
#   own_host.sh NAME OFFSET_S TREE MOUNT_POINT command...
# Needs root. The time namespace begins with the forked child.
name=$1 offset=$2 tree=$3 point=$4
shift 4
exec unshare --uts --mount --time --monotonic "$offset" --boottime "$offset" --fork \
    sh -c 'hostname "$0" && mount --bind "$1" "$2" && shift 2 && exec "$@"' \
    "$name" "$tree" "$point" "$@"
