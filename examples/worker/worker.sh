#!/bin/sh
# Counts for ever; finishes its sentence when it gets TERM.
trap 'echo "goodbye after $n"; exit 0' TERM
n=0
while :; do
    n=$((n + 1))
    echo "$GREETING $n"
    sleep 1
done
