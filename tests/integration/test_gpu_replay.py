"""Every model on an imitated GPU: one device, the path of the CPU, and few waits for the host."""

import json
import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "support"
# Waits for the host in one step of two rows, as measured; a lower count is welcome, a higher one
# is not. The last wait of a training step reads the losses and the gradient norm.
LIMITS = {
    "pretrain captioner loss": 7,
    "pretrain captioner answer": 45,
    "pretrain global_contrastive loss": 3,
    "pretrain regional_contrastive loss": 3,
    "pretrain blip2 loss": 5,
    "pretrain blip2 answer": 38,
    "pretrain blip2_writer loss": 4,
    "pretrain blip2_writer answer": 41,
    "prefix_lm loss": 4,
    "prefix_lm answer": 41,
    "blip2 loss": 4,
    "blip2 answer": 41,
    "real loss": 4,
    "real answer": 41,
    "plural loss": 10,
    "plural answer": 46,
    "rgag loss": 11,
    "rgag answer": 103,
    "ekaid loss": 8,
    "ekaid answer": 38,
    "pretrain findings loss": 5,
    "pretrain findings answer": 4,
    "ekaid_published loss": 11,
    "ekaid_published answer": 41,
    "plural_published loss": 10,
    "plural_published answer": 43,
    "rgag_report loss": 5,
    "rgag_report answer": 42,
    "rgag_published loss": 66,
    "rgag_published answer": 102,
    "blind loss": 8,
}


def test_one_step_of_every_model_stays_on_one_device(capsys):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SUPPORT / "gpu_replay.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["errors"] == {}
    assert {case for case in result["waits"] if "bf16" not in case} == LIMITS.keys()
    counts = {case: sum(waits.values()) for case, waits in result["waits"].items()}
    with capsys.disabled():
        print("\nwaits for the host per step:", json.dumps(counts))
    for case, limit in LIMITS.items():
        assert counts[case] <= limit, result["waits"][case]
        assert counts[f"{case} bf16"] <= limit
