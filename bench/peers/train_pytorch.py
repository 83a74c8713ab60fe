"""One network in PyTorch's eager mode: a plain training loop, then inference of the QAT model."""
import time

import data

args = data.arguments()

import torch
from torch import nn
from torch.ao import quantization

import models_pytorch

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)

images, labels = data.load(args.data)
images = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)  # channels last in memory
labels = torch.from_numpy(labels)
model = models_pytorch.make(args.network, args.mode, args.initial)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)  # Keras's epsilon
for epoch in range(args.epochs):
    start, total = time.monotonic(), 0.0
    for step, indices in enumerate(torch.randperm(len(images)).split(args.batch_size)):
        batch = images[indices].contiguous(memory_format=torch.channels_last).float() / 255
        loss = nn.functional.cross_entropy(model(batch), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(indices)
        if epoch == 0 and step == 0:
            data.event("first_step", seconds=data.seconds_since_start())
    data.event("epoch", loss=total / len(images),
               images_per_second=len(images) / (time.monotonic() - start))
data.event("trained", peak_mb=data.peak_mb())

if args.mode == "qat":
    model.eval()
    model.apply(quantization.disable_observer)
    with torch.inference_mode():
        rate = data.inference_rate(lambda first, last: model(images[first:last].float() / 255),
                                   len(images))
    data.event("inference", images_per_second=rate)
