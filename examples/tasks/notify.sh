#!/bin/sh
# Says `busy` before a page and `idle` after it. Nothing but `echo` is needed for that.
echo ready >"$SPPM_NOTIFY"
n=0
while :; do
    n=$((n + 1))
    echo "busy page $n" >"$SPPM_NOTIFY"
    ./page.sh "$n"
    echo idle >"$SPPM_NOTIFY"
    sleep 0.1 # a gap of less than a millisecond cannot be seen from outside
done
