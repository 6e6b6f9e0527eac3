#!/bin/sh
# Runs every target (or those that are named) for SECONDS_EACH seconds. See README.md.
set -eu
cd "$(dirname "$0")/.."
# No sanitizer, so that a stable toolchain is enough; the sources forbid unsafe code anyway.
export RUSTC_BOOTSTRAP=1
for target in ${*:-$(cargo fuzz list --fuzz-dir fuzz)}; do
    case $target in
        redirect_uri | resource_uri) dictionary=uri ;;
        *) dictionary=json ;;
    esac
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run -s none --fuzz-dir fuzz "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="${SECONDS_EACH:-60}" -dict="fuzz/dictionaries/$dictionary.dict" -timeout=5 -max_len=16384 -print_final_stats=1
done
