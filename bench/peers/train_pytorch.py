"""temp_net in PyTorch's eager-mode QAT: per-channel weights, moving-average activations."""
import argparse
import json
import time

import data

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--float", action="store_true")
args = parser.parse_args()

import torch
from torch import nn
from torch.ao import quantization

torch.set_num_threads(args.threads)


class TempNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.features = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.dense = nn.Linear(32768, 10)

    def forward(self, x):
        return self.dense(torch.flatten(self.features(self.quant(x)), 1))


images, labels = data.load(args.data)
images = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
labels = torch.from_numpy(labels)
model = TempNet()
if not args.float:
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    model.dense.qconfig = None
    quantization.prepare_qat(model.train(), inplace=True)
model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
for epoch in range(args.epochs):
    start, total = time.monotonic(), 0.0
    for indices in torch.randperm(len(images)).split(64):
        batch = images[indices].contiguous(memory_format=torch.channels_last).float() / 255
        loss = nn.functional.cross_entropy(model(batch), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(indices)
    print(json.dumps({"event": "epoch", "epoch": epoch, "loss": total / len(images),
                      "images_per_second": len(images) / (time.monotonic() - start)}), flush=True)
