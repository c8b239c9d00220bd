#!/usr/bin/env bash
# Decides whether train.yaml trains: always for a person or the calendar; for the drift check only if
# no run that it asked for has trained, or is training, since MIN_DAYS. Whatever is asked for twice,
# by two checks or because an answer was lost, is therefore done once; a run that failed blocks none.
#
# Reads GitHub's own variables, GH_TOKEN and MIN_DAYS; writes due=true or due=false.
set -euo pipefail

decide() {
  echo "due=$1" >>"$GITHUB_OUTPUT"
  echo "$2"
  exit 0
}

[ "$GITHUB_EVENT_NAME" = repository_dispatch ] || decide true "not asked for by the drift check"

now=${NOW:-$(date +%s)}
recent=$(gh run list --workflow train.yaml --event repository_dispatch --limit 50 \
  --json databaseId,createdAt |
  jq -r --argjson since "$((now - MIN_DAYS * 86400))" --argjson own "$GITHUB_RUN_ID" \
    '.[] | select(.databaseId < $own and (.createdAt | fromdate) >= $since) | .databaseId')

# The job's conclusion is empty while it runs, and "skipped" where none was due.
for id in $recent; do
  conclusion=$(gh run view "$id" --json jobs --jq '.jobs[] | select(.name | startswith("Train")) | .conclusion')
  case "$conclusion" in
    success | "") decide false "run $id has trained, or is training, within $MIN_DAYS days" ;;
  esac
done

decide true "no run within $MIN_DAYS days"
