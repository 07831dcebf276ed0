#!/usr/bin/env bash
# Compares chat templates with transformers, by the packages in build/tools/python, without which it is
# skipped (exit status 77).
#
# usage: run.sh RENDER_CHATS WORK_DIR
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$folder/../.." && pwd)
tools=$root/build/tools/python
if [[ ! -f $tools/requirements.txt || -z $(compgen -G "$tools/templates/*.whl") ]]; then
  echo "Skipped: the Python packages are not there (deploy/install-deps.sh --test unpacks them)"
  exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1
exec "$tools/venv/bin/python" "$folder/compare.py" --render "$1" --work "$2" \
  --tokenizer "$root/tests/unit/text/data/llama3/tokenizer.json" "$tools"/templates/*.whl
