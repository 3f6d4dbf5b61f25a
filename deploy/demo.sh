#!/bin/sh
# The whole road once: raw text to a prompted model. Usage: demo.sh FOLDER [INPUT]
# FOLDER receives everything; INPUT is a folder of your own text, by default text is gathered from this machine.
set -eu
folder=$1
input=${2:-}
workers=${WORKERS:-2}

show() { printf '\n\033[1m$ %s\033[0m\n' "$*" >&2; "$@"; }

if [ -z "$input" ]; then
    input=$folder/text
    [ -d "$input" ] || show gristmill gather "$input"
fi
run=$folder/run
train=$folder/train
show gristmill run demo --set "input.paths=[$input]" --set "output=$run" --workers "$workers"
show gristmill tokens verify "$run/tokens"
[ -n "${2:-}" ] || show gristmill explain "$run" difflib.HtmlDiff.make_table
show gristmill train tiny --set "data.tokens=$run/tokens" --output "$train"
show gristmill evaluate "$train"
show gristmill trace "$train" --step 1
for after in "$train"/samples/*; do :; done # the last one
printf '\nBefore training the model writes:\n\n' >&2
cat "$train/samples/step-00000000.txt"
printf '\nAnd after it:\n\n' >&2
cat "$after"
show gristmill generate "$train" --prompt "This function returns" --tokens 60
printf '\nThe run directory: %s\nThe report:        %s/report.html\nThe model:         %s\n' "$run" "$run" "$train" >&2
