#!/usr/bin/env bash
# Runs every command of the tutorial, in order, as README.md prints it, against the cluster of $KUBECONFIG.
cd "$(dirname "$0")" || exit 1
while IFS= read -r command; do
    printf '$ %s\n' "$command"
    bash -c "$command" </dev/null
done < <(sed -n 's/^\$ //p' README.md)
