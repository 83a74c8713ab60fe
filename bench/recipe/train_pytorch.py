"""The long ResNet-20 recipe (docs/benchmarks.md) in PyTorch: prints the accuracies of each epoch.

As `perch train resnet20 --optimizer sgd --momentum 0.9 --weight-decay 0.0005 --learning-rate 0.1
--schedule cosine --warmup 400 --augment --batch-size 128`: classical weight decay on every weight,
zero-padded crops by up to 4 pixels, horizontal flips, pixels divided by 255.
"""
import argparse
import math
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))

import numpy as np
import torch
from torch import nn

import data
import models_pytorch

BATCH, RATE, WARMUP = 128, 0.1, 400


def augment(images):
    """uint8 [N, 32, 32, 3]: each image shifted by -4..4 pixels, every second one mirrored."""
    count = len(images)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), axis=(1, 2))
    y, x = np.random.randint(0, 9, (2, count))
    result = windows[np.arange(count), y, x].transpose(0, 2, 3, 1)
    flip = np.random.rand(count) < 0.5
    result = np.ascontiguousarray(result)
    result[flip] = result[flip, :, ::-1]
    return result


def tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def accuracy(model, images, labels):
    model.eval()
    with torch.inference_mode():
        hits = sum((model(tensor(images[at:at + 500])).argmax(1) == labels[at:at + 500]).sum().item()
                   for at in range(0, len(images), 500))
    model.train()
    return hits / len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--initial", required=True, help="float model of perch to start from")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    images, labels = data.load(args.data)
    test_images, test_labels = data.load(args.data, "test_batch.bin")
    labels, test_labels = torch.from_numpy(labels), torch.from_numpy(test_labels)
    model = models_pytorch.make("resnet20", "float", args.initial)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=0.0005)
    steps, step = args.epochs * math.ceil(len(images) / BATCH), 0
    for epoch in range(args.epochs):
        start, hits, total = time.monotonic(), 0, 0.0
        for indices in torch.randperm(len(images)).split(BATCH):
            rate = ((step + 1) / WARMUP if step < WARMUP else
                    (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))) / 2)
            for group in optimizer.param_groups:
                group["lr"] = RATE * rate
            batch = tensor(augment(images[indices.numpy()])).contiguous(
                memory_format=torch.channels_last)
            logits = model(batch)
            loss = nn.functional.cross_entropy(logits, labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            total += loss.item() * len(indices)
            hits += (logits.argmax(1) == labels[indices]).sum().item()
        data.event("epoch", epoch=epoch + 1, loss=total / len(images),
                   accuracy=hits / len(images),
                   test_accuracy=accuracy(model, test_images, test_labels),
                   seconds=time.monotonic() - start)


main()
