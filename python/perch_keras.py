"""Per-axis ranges for TensorFlow's model optimization toolkit, and perch's models in TensorFlow.

A file that perch wrote, whatever its bits, quantizers and granularity:

    model = perch_keras.load_model("temp_net.h5")

Training in TensorFlow with one range per output channel:

    def annotate(layer):
        if isinstance(layer, tf.keras.layers.DepthwiseConv2D):
            return quantize_annotate_layer(layer, perch_keras.DepthwiseQuantizer())
        if isinstance(layer, tf.keras.layers.Conv2D):
            return quantize_annotate_layer(layer, perch_keras.ConvQuantizer())
        return layer

    annotated = tf.keras.models.clone_model(model, clone_function=annotate)
    with perch_keras.quantize_scope():
        model = quantize_apply(annotated)

Needs tensorflow 2.15 and tensorflow-model-optimization 0.8.
"""
from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator, Optional, Type, Union

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot  # before any use of tf.keras, which it switches

_keras = tfmot.quantization.keras


class _RangeQuantizer(_keras.quantizers.Quantizer):
    """A range for each index along `axes`, in row-major order; one in all without axes.

    `per_axis` is short for the last axis alone. Any rank will do.
    """

    start = (-6.0, 6.0)

    def __init__(self, num_bits: int = 8, per_axis: bool = False, symmetric: bool = False,
                 narrow_range: bool = False, axes: Optional[Iterable[int]] = None) -> None:
        if axes is None:
            axes = (-1,) if per_axis else ()
        self.num_bits = num_bits
        self.symmetric = symmetric
        self.narrow_range = narrow_range
        self.axes = tuple(axes)

    @property
    def per_axis(self) -> bool:
        return bool(self.axes)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict:
        shape = (self._ranges(tensor_shape, layer),) if self.axes else ()
        return {f"{end}_var": layer.add_weight(
                    f"{name}_{end}", shape=shape, trainable=False,
                    initializer=tf.keras.initializers.Constant(value))
                for end, value in zip(("min", "max"), self.start)}

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs) -> tf.Tensor:
        low, high = weights["min_var"], weights["max_var"]
        if not self.axes:
            if training:
                low, high = self._moved(low, high, tf.reduce_min(inputs), tf.reduce_max(inputs))
            return self._quantized(inputs, low, high)
        # The op knows the last axis only: the kept ones become that.
        rank = inputs.shape.rank
        kept = sorted(axis % rank for axis in self.axes)
        order = [axis for axis in range(rank) if axis not in kept] + kept
        turned = tf.transpose(inputs, order)
        columns = tf.reshape(turned, [-1, _extent(inputs.shape, kept)])
        if training:
            low, high = self._moved(low, high, tf.reduce_min(columns, 0),
                                    tf.reduce_max(columns, 0))
        columns = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            columns, low, high, self.num_bits, self.narrow_range)
        outputs = tf.transpose(tf.reshape(columns, tf.shape(turned)),
                               [order.index(axis) for axis in range(rank)])
        return tf.ensure_shape(outputs, inputs.shape)

    def get_config(self) -> dict:
        return {"num_bits": self.num_bits, "symmetric": self.symmetric,
                "narrow_range": self.narrow_range, "axes": list(self.axes)}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def _ranges(self, shape: Any, layer: Any) -> int:
        if shape is not None:
            return _extent(shape, self.axes)
        # tfmot tells no shape of activations: their channels are those of the wrapped kernel.
        kernel = getattr(layer.layer, "depthwise_kernel", getattr(layer.layer, "kernel", None))
        if len(self.axes) != 1 or kernel is None:
            raise ValueError(f"{layer.name}: the activations' extents along {self.axes} are not "
                             "known; quantize the layer's output instead")
        depthwise = hasattr(layer.layer, "depthwise_kernel")
        return _extent(kernel.shape, (-2, -1) if depthwise else (-1,))

    def _quantized(self, inputs: tf.Tensor, low: Any, high: Any) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high, self.num_bits,
                                                            self.narrow_range)

    def _moved(self, low: tf.Variable, high: tf.Variable, least: tf.Tensor,
               most: tf.Tensor) -> tuple:
        """The range after a training step in which values went from `least` to `most`."""
        raise NotImplementedError

    def _ratio(self) -> tuple:
        """A symmetric range's maximum over its minimum, and the inverse, both in float32."""
        levels = 1 << self.num_bits
        ratio = tf.constant(-1.0 if self.narrow_range else -(levels - 2) / levels)
        # Graphs multiply by the rounded inverse where eager mode would divide.
        return ratio, 1.0 / ratio

    def _target(self, least: tf.Tensor, most: tf.Tensor) -> tuple:
        if not self.symmetric:
            return tf.minimum(least, 0.0), tf.maximum(most, 0.0)
        ratio, inverse = self._ratio()
        return tf.minimum(least, most * inverse), tf.maximum(most, least * ratio)


class AllValues(_RangeQuantizer):
    """Holds every value that was ever seen, and 0."""

    start = (0.0, 0.0)

    def _moved(self, low, high, least, most):
        if self.symmetric:
            ratio, inverse = self._ratio()
            least = tf.minimum(least, most * inverse)
            most = tf.maximum(most, least * ratio)
        return (low.assign(tf.minimum(tf.minimum(low, least), 0.0)),
                high.assign(tf.maximum(tf.maximum(high, most), 0.0)))


class LastValue(_RangeQuantizer):
    """Holds the values of the last training step, and 0."""

    def _moved(self, low, high, least, most):
        least, most = self._target(least, most)
        return low.assign(least), high.assign(most)


class MovingAverage(_RangeQuantizer):
    """Moves towards the values of each training step by 1 - decay."""

    def __init__(self, num_bits: int = 8, per_axis: bool = False, symmetric: bool = False,
                 narrow_range: bool = False, axes: Optional[Iterable[int]] = None,
                 decay: float = 0.999) -> None:
        super().__init__(num_bits, per_axis, symmetric, narrow_range, axes)
        # The decimal that was meant, also where it comes from a file as the nearest float32.
        self.decay = float(str(np.float32(decay)))

    def _moved(self, low, high, least, most):
        least, most = self._target(least, most)
        step = 1.0 - self.decay
        return low.assign(low - (low - least) * step), high.assign(high - (high - most) * step)

    def get_config(self) -> dict:
        return {**super().get_config(), "decay": self.decay}


class Fixed(_RangeQuantizer):
    """Stays as it is; other than tfmot's with any number of bits."""

    def __init__(self, num_bits: int = 8, init_min: float = -6.0, init_max: float = 6.0,
                 narrow_range: bool = False, per_axis: bool = False,
                 axes: Optional[Iterable[int]] = None) -> None:
        super().__init__(num_bits, per_axis, False, narrow_range, axes)
        self.start = (init_min, init_max)

    def _moved(self, low, high, least, most):
        return low, high

    def _quantized(self, inputs, low, high):
        return tf.quantization.fake_quant_with_min_max_args(inputs, *self.start, self.num_bits,
                                                            self.narrow_range)

    def get_config(self) -> dict:
        return {"num_bits": self.num_bits, "init_min": self.start[0], "init_max": self.start[1],
                "narrow_range": self.narrow_range, "axes": list(self.axes)}


class PerchQuantizer(_keras.QuantizeConfig):
    """What is quantized in a layer: weights by their names, its activation, its output.

    A quantizer may be given as its {"class_name", "config"}.
    """

    def __init__(self, weights: Optional[dict] = None, activation: Any = None,
                 output: Any = None) -> None:
        self.weights = {name: _quantizer(value) for name, value in (weights or {}).items()}
        self.activation = _quantizer(activation)
        self.output = _quantizer(output)

    @classmethod
    def from_config(cls, config: dict) -> "PerchQuantizer":
        if not config:
            raise ValueError(f"{cls.__name__}: the file does not say how the layer is quantized; "
                             "perch has kept that for Keras since 0.2: write the file again")
        if config.get("integer_bias"):
            raise ValueError(f"{cls.__name__}: only perch computes with int32 biases")
        result = cls.__new__(cls)
        PerchQuantizer.__init__(result, **config)
        return result

    def get_config(self) -> dict:
        return {"weights": {name: _settings(value) for name, value in self.weights.items()},
                "activation": _settings(self.activation), "output": _settings(self.output)}

    def get_weights_and_quantizers(self, layer: Any) -> list:
        return [(getattr(layer, name), value) for name, value in self.weights.items()]

    def set_quantize_weights(self, layer: Any, quantize_weights: list) -> None:
        for name, value in zip(self.weights, quantize_weights):
            setattr(layer, name, value)

    def get_activations_and_quantizers(self, layer: Any) -> list:
        return [(layer.activation, self.activation)] if self.activation else []

    def set_quantize_activations(self, layer: Any, quantize_activations: list) -> None:
        if quantize_activations:
            layer.activation = quantize_activations[0]

    def get_output_quantizers(self, layer: Any) -> list:
        return [self.output] if self.output else []


class ConvQuantizer(PerchQuantizer):
    """The kernel of a Conv2D or Dense, per output channel or per tensor, and its activation.

    PerchQuantizer is for what this does not say.
    """

    kernel = "kernel"
    channel_axes = (-1,)

    def __init__(self, quantizer: Type[_RangeQuantizer] = AllValues, num_bits: int = 8,
                 per_axis: bool = True, symmetric: bool = False, narrow_range: bool = False,
                 activation_bits: int = 8) -> None:
        axes = self.channel_axes if per_axis else ()
        super().__init__(
            weights={self.kernel: quantizer(num_bits=num_bits, symmetric=symmetric,
                                            narrow_range=narrow_range, axes=axes)},
            activation=MovingAverage(activation_bits))


class DepthwiseQuantizer(ConvQuantizer):
    """ConvQuantizer's for DepthwiseConv2D, whose kernel has its output channels on two axes."""

    kernel = "depthwise_kernel"
    channel_axes = (-2, -1)


class _WrapperReader:
    """Makes tfmot's QuantizeWrapperV2 from what perch wrote beside the configuration's class."""

    @classmethod
    def from_config(cls, config: dict) -> _keras.QuantizeWrapperV2:
        stored = config["quantize_config"]
        if config["layer"]["class_name"] == "FoldedBatchNorm":
            raise ValueError(f"{config['name']}: its batch normalisation is folded into the layer, "
                             "which only perch computes")
        if "perch" in stored:
            name = stored["class_name"] if stored["class_name"] in _objects else "PerchQuantizer"
            config = {**config, "quantize_config": {"class_name": name, "config": stored["perch"]}}
        return _keras.QuantizeWrapperV2.from_config(config)


_classes = (AllValues, LastValue, MovingAverage, Fixed, PerchQuantizer, ConvQuantizer,
            DepthwiseQuantizer)
_objects = {cls.__name__: cls for cls in _classes}


def _extent(shape: Any, axes: Iterable[int]) -> int:
    result = 1
    for axis in axes:
        result *= shape[axis]
    return result


def _settings(quantizer: Any) -> Optional[dict]:
    if quantizer is None:
        return None
    return {"class_name": type(quantizer).__name__, "config": quantizer.get_config()}


def _quantizer(value: Union[dict, Any, None]) -> Any:
    if not isinstance(value, dict):
        return value
    name = value["class_name"]
    cls = _objects.get(name) or getattr(_keras.quantizers, name, None)
    if cls is None:
        raise ValueError(f"{name}: TensorFlow has no such quantizer, or not with the settings of "
                         "this file; only perch computes it")
    return cls(**value["config"])


@contextlib.contextmanager
def quantize_scope(*objects: dict) -> Iterator[None]:
    """tfmot's quantize_scope that knows perch's classes, and the caller's custom objects."""
    ours = {**_objects, "QuantizeWrapperV2": _WrapperReader}
    with _keras.quantize_scope(), tf.keras.utils.custom_object_scope(ours, *objects):
        yield


def load_model(file: Any, **arguments: Any) -> tf.keras.Model:
    """tf.keras.models.load_model for files that perch wrote, and for others of tfmot."""
    with quantize_scope():
        return tf.keras.models.load_model(file, **arguments)
