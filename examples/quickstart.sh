#!/bin/sh
# Builds sppm, then runs the quickstart of the README in a new folder below /tmp: two programs start, an edit changes
# one of them, all ends. With SPPM=/path/to/sppm nothing is built.
set -eu
project=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${SPPM:-}" ]; then
    cargo build --release --locked --manifest-path "$project/Cargo.toml"
    SPPM=$project/target/release/sppm
fi
folder=$(mktemp -d /tmp/sppm-quickstart.XXXXXX)
mkdir "$folder/bin"
ln -s "$SPPM" "$folder/bin/sppm"
PATH=$folder/bin:$PATH
export PATH
cd "$folder"
sed -n '/^<!-- quickstart -->$/,/^```$/p' "$project/README.md" | sed '1,/^```sh$/d; /^```$/d' >quickstart
echo "In $folder:"
set +e
sh -eux quickstart
result=$?
if [ "$result" != 0 ]; then
    sppm shutdown --force
fi
cd /
rm -rf "$folder"
exit "$result"
