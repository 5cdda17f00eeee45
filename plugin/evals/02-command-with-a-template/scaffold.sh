#!/usr/bin/env bash
set -euo pipefail
mkdir logs
for n in 01 02 03 04 05 06 07 08; do
    { for i in $(seq 200); do echo "12:00:$((i % 60)) step $i of 200: ok"; done; echo "12:04:00 finished"; } >"logs/$n.log"
done
sed -i.bak '150s/.*/12:02:30 disk full: \/var\/spool/' logs/07.log
rm logs/*.bak
