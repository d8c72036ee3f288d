#!/bin/sh
# Each page under an exclusive lock on $SPPM_LOCK. For a stop sppm takes the lock itself, so that no page begins then.
n=0
while :; do
    n=$((n + 1))
    flock -x "$SPPM_LOCK" ./page.sh "$n"
    sleep 0.1 # flock(2) has no queue: whoever locks again at once wins more often than not
done
