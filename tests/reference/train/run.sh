#!/usr/bin/env bash
# Tests the trainer, with the Python that SSMD_TORCH_PYTHON names, or that of build/tools/torch; it needs
# requirements.txt. Without one it is skipped (exit status 77): torch alone is some gigabytes.
#
# usage: run.sh lint|mixers|train [pytest arguments…]
#   lint    format and mistakes, by the ruff of build/tools/python
#   mixers  the two forms of every mixer, in float64
#   train   two mixers beat unigrams after 80 steps; what is written
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
command=$1
shift
cd "$here"
if [[ $command == lint ]]; then
  ruff=$root/build/tools/python/venv/bin/ruff
  if [[ ! -x $ruff ]]; then
    echo "Skipped: there is no ruff (deploy/install-deps.sh --test unpacks it)"
    exit 77
  fi
  "$ruff" check --quiet --no-cache .
  exec "$ruff" format --quiet --no-cache --diff .
fi
python=${SSMD_TORCH_PYTHON:-$root/build/tools/torch/bin/python}
if ! "$python" -c 'import matplotlib, numpy, pytest, safetensors, tokenizers, torch' 2>/dev/null; then
  echo "Skipped: $python is not there or lacks packages of tests/reference/train/requirements.txt"
  exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" -m pytest -p no:cacheprovider -q "test_$command.py" "$@"
