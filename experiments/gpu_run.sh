#!/usr/bin/env bash
# One run on a machine with a GPU, within a time limit (seconds, default 540): the experiment of
# docs/explanation/experiment.md, then the tests and the benchmark that need a GPU.
#
#   experiments/gpu_run.sh OUT [SECONDS]
#
# Needs a Python environment with the package's dependencies (PYTHON, default python3). Results are
# written below OUT; the same command continues. PATIENTS, ARMS, PROCESSES and TABLE shrink a trial.
set -uo pipefail
OUT=$1; LIMIT=${2:-540}; START=$(date +%s)
PYTHON=${PYTHON:-python3}; PATIENTS=${PATIENTS:-6000}; CORES=${CORES:-$(getconf _NPROCESSORS_ONLN)}
PROCESSES=${PROCESSES:-$CORES}; ARMS=${ARMS:-ours,cap,global,random-encoder,parallel-0,64px}
TABLE=${TABLE:-experiment}
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}"
elapsed() { echo $(($(date +%s) - START)); }
note() { echo "[$(elapsed) s] $*"; }
mkdir -p "$OUT"; WORK=${WORK:-$OUT/work}; mkdir -p "$WORK"

if [ ! -f "$WORK/store128/store.json" ]; then
  $PYTHON -m lapse simulate "$WORK/raw" --patients "$PATIENTS" --seed 107 --size 160 \
    --counterfactual-fraction 0 --ood-fraction 0 --processes "$CORES" || exit 1
  note simulated
  half=$(((CORES + 1) / 2))
  $PYTHON -m lapse prepare "$WORK/raw" "$WORK/store128" --size 128 --workers "$half" >"$WORK/p128.log" 2>&1 &
  first=$!
  $PYTHON -m lapse prepare "$WORK/raw" "$WORK/store64" --size 64 --workers "$half" >"$WORK/p64.log" 2>&1
  wait $first || { tail -5 "$WORK/p128.log"; exit 1; }
  note prepared
fi

# Many small runs share one GPU better through its multi-process service.
has_mps=
if command -v nvidia-cuda-mps-control >/dev/null && nvidia-cuda-mps-control -d; then
  if timeout 30 $PYTHON -c "import torch; torch.zeros(1).cuda()"; then
    has_mps=1; note "multi-process service on"
  else
    echo quit | nvidia-cuda-mps-control; note "multi-process service off: it did not answer"
  fi
fi
minutes=$(awk "BEGIN { print ($LIMIT - $(elapsed)) / 60 }")
$PYTHON experiments/experiment_runs.py --table "$TABLE" --data "$WORK/store128" --data "$WORK/store64" --out "$WORK/runs" \
  --results "$OUT/results" --processes "$PROCESSES" --arms "$ARMS" --minutes "$minutes" \
  --patience 12 --least "${LEAST:-1}" --keep-weights
[ -n "$has_mps" ] && echo quit | nvidia-cuda-mps-control
note "experiment over"

left=$((LIMIT - $(elapsed)))
if [ $left -gt 30 ]; then
  timeout $((left / 2)) $PYTHON -m pytest -q -m gpu -p no:cacheprovider tests/integration/test_gpu.py \
    --override-ini filterwarnings=default >"$OUT/gpu-tests.log" 2>&1
  tail -3 "$OUT/gpu-tests.log"; note "tests over"
fi
left=$((LIMIT - $(elapsed)))
if [ $left -gt 30 ]; then
  timeout "$left" $PYTHON -m benchmarks gpu --steps 10 2>&1 | tee "$OUT/benchmark.txt"
  note "benchmark over"
fi
