"""CIFAR-10's binary records as arrays, for the peers."""
import pathlib

import numpy as np


def load(folder):
    """uint8 images [N, 32, 32, 3] and labels [N] of a folder's training batches."""
    files = sorted(pathlib.Path(folder).glob("data_batch_*.bin"))
    records = np.concatenate([np.fromfile(file, np.uint8) for file in files]).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].astype(np.int64)
