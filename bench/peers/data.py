"""What the peers' scripts share: CIFAR-10's binary records, the flags, the events of a run."""
import argparse
import json
import os
import pathlib
import resource
import time

import numpy as np


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--mode", choices=["float", "qat"], required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--initial", required=True, help="float model of perch to start from")
    return parser.parse_args()


def load(folder, pattern="data_batch_*.bin"):
    """uint8 images [N, 32, 32, 3] and labels [N] of a folder's training batches."""
    files = sorted(pathlib.Path(folder).glob(pattern))
    records = np.concatenate([np.fromfile(file, np.uint8) for file in files]).reshape(-1, 3073)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, records[:, 0].astype(np.int64)


def event(name, **values):
    print(json.dumps({"event": name, **values}), flush=True)


def seconds_since_start():
    """Since the process was started, before Python ran: proc(5), field 22."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[22 - 3])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def inference_rate(run_batch, images, batch_size=64):
    """images/s of run_batch(first, last) over whole batches, after ten that warm up."""
    batches = [(at, at + batch_size) for at in range(0, images - batch_size + 1, batch_size)]
    for first, last in batches[:10]:
        run_batch(first, last)
    start = time.monotonic()
    for first, last in batches:
        run_batch(first, last)
    return len(batches) * batch_size / (time.monotonic() - start)
