#!/bin/sh
# What can be said of Dockerfile and docker-compose.yml without an engine: every file that is copied exists, every stage
# that is named is there, the compose file parses, and the configurations inside the image have no mistakes.
set -eu
cd "$(dirname "$0")/.."

broken=0
complain() {
    printf 'container files: %s\n' "$1" >&2
    broken=1
}

stages=$(awk 'toupper($1) == "FROM" && toupper($3) == "AS" { print $4 }' Dockerfile)

# Copied from here; what comes from another stage, another image or this file itself is not.
for source in $(awk '$1 == "COPY" && $2 !~ /^(--from|<<)/ { for (i = 2; i < NF; i++) print $i }' Dockerfile); do
    [ -e "$source" ] || complain "Dockerfile copies \`$source\`, which does not exist"
done
for stage in $(sed -n 's/.*--from=\([a-z-]*\) .*/\1/p' Dockerfile) $(sed -n 's/.*target: \([a-z-]*\).*/\1/p' docker-compose.yml); do
    printf '%s\n' "$stages" | grep -qx "$stage" || complain "there is no stage \`$stage\` in Dockerfile"
done

if docker compose version >/dev/null 2>&1; then
    docker compose --profile open-webui config --quiet || complain 'docker compose does not take docker-compose.yml'
elif python3 -c 'import yaml' 2>/dev/null; then
    python3 -c 'import sys, yaml; yaml.safe_load(open("docker-compose.yml"))' || complain 'docker-compose.yml is not YAML'
else
    echo 'docker-compose.yml: neither docker compose nor a YAML reader is here, so it was not parsed'
fi

# Given a gateway, it judges the files that the image carries.
if [ $# -gt 0 ]; then
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    awk -v to="$directory" '
        $1 == "COPY" && $2 ~ /^<</ { end = $2; gsub(/[<'"'"'-]/, "", end); n = split($3, parts, "/"); file = to "/" parts[n]; next }
        end != "" && $0 == end { end = ""; close(file); next }
        end != "" { print > file }' Dockerfile
    for file in "$directory"/*.yaml; do
        "$1" check "$file" || complain "the image's $(basename "$file") has mistakes"
    done
fi
exit $broken
