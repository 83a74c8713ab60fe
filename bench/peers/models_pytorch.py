"""perch's networks (perch/models) in PyTorch, layer by layer, and its eager-mode quantization.

The same kinds, sizes, strides and biases, Keras's momentum and epsilon of batch normalisation, and
initial weights from a file of perch, so that losses compare. padding=1 where Keras says "same": with stride 2 that puts
the extra row of zeros above and not below the image, the same work. All end in logits; the softmax
is part of the loss.
"""
import h5py
import numpy as np
import torch
from torch import nn
from torch.ao import quantization


def unit(channels, filters, size, stride=1, groups=1, bias=True, relu=True):
    """Convolution - BatchNorm - ReLU: what fuse_modules_qat makes one module of."""
    modules = [nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=bias),
               nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)]
    return nn.Sequential(*modules, *([nn.ReLU()] if relu else []))


class Network(nn.Module):
    """`features`, then `head` on their flattened result."""

    def __init__(self, features, head):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.features = features
        self.head = head

    def forward(self, x):
        return self.head(torch.flatten(self.features(self.quant(x)), 1))


class Block(nn.Module):
    """resnet20's, with perch's default shortcuts: every other pixel, the new channels zero."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.inner = unit(channels, filters, 3, stride, bias=False)
        self.outer = unit(filters, filters, 3, bias=False, relu=False)
        self.halves = stride == 2
        self.sum = nn.quantized.FloatFunctional()

    def forward(self, x):
        y = self.outer(self.inner(x))
        if self.halves:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))
        return self.sum.add_relu(y, x)


def temp_net():
    return Network(unit(3, 32, 3), nn.Linear(32768, 10))


def dsc_net():
    units, channels = [unit(3, 32, 3)], 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        units += [unit(channels, channels, 3, stride, groups=channels), unit(channels, filters, 1)]
        channels = filters
    return Network(nn.Sequential(*units, nn.AdaptiveAvgPool2d(1)), nn.Linear(256, 10))


def resnet20():
    blocks, channels = [unit(3, 16, 3, bias=False)], 16
    for filters in (16, 32, 64):
        for block in range(3):
            blocks.append(Block(channels, filters, 2 if filters > 16 and block == 0 else 1))
            channels = filters
    return Network(nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1)), nn.Linear(64, 10))


def keras_layers(file):
    """Each layer with weights of a Keras file, in its order: {"kernel": array, ...}."""
    with h5py.File(file) as root:
        groups = root["model_weights"]
        names = [groups[layer].attrs["weight_names"] for layer in groups.attrs["layer_names"]]
        for layer, weights in zip(groups.attrs["layer_names"], names):
            if len(weights):
                yield {text(name).rpartition("/")[2].removesuffix(":0"):
                       np.array(groups[layer][name]) for name in weights}


def text(name):
    return name.decode() if isinstance(name, bytes) else name


def load_keras(model, file):
    """The file's convolutions and Dense layers are the model's, one after another.

    Keras flattens images as [h, w, c], PyTorch as [c, h, w].
    """
    modules = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    layers = [layer for layer in keras_layers(file) if "gamma" not in layer]
    channels = 3
    for module, layer in zip(modules, layers, strict=True):
        kernel = layer.get("kernel", layer.get("depthwise_kernel"))
        if "depthwise_kernel" in layer:  # [h, w, channels, 1]
            kernel = kernel.transpose(2, 3, 0, 1)
        elif kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
            channels = len(kernel)
        else:
            kernel = kernel.reshape(-1, channels, kernel.shape[1]).transpose(2, 1, 0)
            kernel = kernel.reshape(len(kernel), -1)
        values = {"weight": kernel, "bias": layer.get("bias")}
        for name, value in values.items():
            if value is not None:
                parameter = getattr(module, name)
                assert parameter.shape == value.shape, (parameter.shape, value.shape)
                parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def prepare_qat(name, model):
    """Fused modules and the default of x86: per-channel weights, fused moving-average observers."""
    units = [path for path, module in model.named_modules()
             if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d)]
    for path in units:
        parts = [f"{path}.{index}" for index in range(len(model.get_submodule(path)))]
        quantization.fuse_modules_qat(model, parts, inplace=True)
    model.qconfig = quantization.get_default_qat_qconfig("x86")
    if name == "temp_net":
        # Float as in the original script and in perch. Quantized, its loss rises to 5.6 in epoch 2
        # where all others are near 1.4: another network to compare with.
        model.head.qconfig = None
    quantization.prepare_qat(model, inplace=True)


NETWORKS = {"temp_net": temp_net, "dsc_net": dsc_net, "resnet20": resnet20}


def make(name, mode, initial):
    """In training mode."""
    model = NETWORKS[name]().train()
    load_keras(model, initial)
    if mode == "qat":
        prepare_qat(name, model)
    return model.to(memory_format=torch.channels_last)
