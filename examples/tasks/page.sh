#!/bin/sh
# A page: takes its time, and must not be cut in half.
echo "begin $1"
sleep "${PAGE:-1}"
echo "end $1"
