#!/bin/sh
# Runs one target for as long as it is let, or with the arguments for libFuzzer that follow its name. See README.md.
set -eu
cd "$(dirname "$0")/.."
target=${1:?which target? one of: $(ls fuzz/fuzz_targets | sed 's/\.rs$//' | tr '\n' ' ')}
shift
# No sanitizer, so that a stable toolchain is enough; the sources forbid unsafe code anyway.
export RUSTC_BOOTSTRAP=1
# `cargo xtask test --only fuzz` has installed it there.
PATH=$PWD/target/tools/bin:$PATH
case $target in
    redirect_uri | resource_uri) dictionary=uri ;;
    challenge | guard_credentials | parameters) dictionary=http ;;
    pem_key) dictionary=pem ;;
    *) dictionary=json ;;
esac
run() { cargo fuzz run --sanitizer none --fuzz-dir fuzz --target-dir target/fuzz "$target" "$@"; }
# A file is tried once.
if [ -f "${1:-}" ]; then
    run "$1"
else
    mkdir -p "fuzz/corpus/$target"
    run "fuzz/corpus/$target" "fuzz/seeds/$target" -- "-dict=fuzz/dictionaries/$dictionary.dict" -timeout=10 -max_len=16384 "$@"
fi
