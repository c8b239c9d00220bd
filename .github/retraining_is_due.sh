#!/usr/bin/env bash
# Decides whether train.yaml trains: always for a person or the calendar; for the drift check only if
# no run that it asked for has trained, or is training, since MIN_DAYS. Whatever is asked for twice,
# by two checks or because an answer was lost, is therefore done once. A run that failed blocks none,
# unless its model was refused: the next one would train the same model for hours, and be refused too.
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

# As many as GitHub lists, the oldest first: with an alarm that stays, each check adds a run that was
# not due, and the one that trained is before all of them.
recent=$(gh run list --workflow train.yaml --event repository_dispatch --limit 1000 \
  --json databaseId,createdAt |
  jq -r --argjson since "$((now - MIN_DAYS * 86400))" --argjson own "$GITHUB_RUN_ID" \
    'reverse[] | select(.databaseId < $own and (.createdAt | fromdate) >= $since) | .databaseId')

# Three things have to be known of a run: one that ended well may have found that none was due, and one
# that failed may have trained, without a model to show for it; its steps say whether one was refused.
for id in $recent; do
  counts=$(gh run view "$id" --json status,conclusion,jobs --jq '
    .status != "completed"
    or (.conclusion == "success"
      and any(.jobs[]; (.name | startswith("Train")) and .conclusion == "success"))
    or any(.jobs[].steps[]?; .conclusion == "failure"
      and (.name | IN("Export through the gates", "Refuse a worse model")))')
  if [ "$counts" = true ]; then
    decide false "run $id has trained, or is under way, within $MIN_DAYS days"
  fi
done

decide true "no run within $MIN_DAYS days"
