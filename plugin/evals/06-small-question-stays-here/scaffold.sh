#!/usr/bin/env bash
set -euo pipefail
echo 'Lunch is at one.' >note.txt
