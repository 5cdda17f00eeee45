#!/usr/bin/env bash
set -euo pipefail
git init -q .
git config user.name Example
git config user.email someone@example.invalid
printf 'def area(width, height):\n    return width + height\n' >shapes.py
git add shapes.py
git commit -qm "Add shapes"
printf 'def area(width, height):\n    return width * height\n' >shapes.py
git add shapes.py
