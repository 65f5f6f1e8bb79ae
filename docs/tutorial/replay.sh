#!/usr/bin/env bash
# Runs every command of the tutorial, in order, as README.md prints it. Wants `sandbox` and kubectl on PATH.
cd "$(dirname "$0")/../.." || exit 1
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
while IFS= read -r command; do
    printf '$ %s\n' "$command"
    eval "$command" </dev/null
    [[ $command != *'&' ]] || sandbox wait || exit 1
done < <(sed -n 's/^\$ //p' docs/tutorial/README.md)
