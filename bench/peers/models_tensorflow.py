"""perch's networks (perch/models) in tf.keras, layer by layer, and tfmot's quantization of them.

The same kinds, sizes, strides, paddings and biases; initial weights from a file of perch.
All end in logits, whose softmax is part of the loss (perch joins a last softmax with the loss as
well): tfmot would round a softmax to 256 levels, most of them 0, before the logarithm.
"""
import tensorflow_model_optimization as tfmot
from tensorflow import keras

layers = keras.layers
quantization = tfmot.quantization.keras


def temp_net():
    return keras.Sequential([
        layers.Conv2D(32, 3, padding="same", input_shape=(32, 32, 3)),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.Flatten(),
        layers.Dense(10),
    ])


def dsc_net():
    model = keras.Sequential([layers.Conv2D(32, 3, padding="same", input_shape=(32, 32, 3)),
                              layers.BatchNormalization(), layers.ReLU()])
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        for layer in (layers.DepthwiseConv2D(3, strides=stride, padding="same"),
                      layers.Conv2D(filters, 1, padding="same")):
            model.add(layer)
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    return model


def resnet20():
    """With perch's default shortcuts: every other pixel, the new channels zero; no biases."""
    def convolution(x, filters, stride=1):
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def zero_padded(x):
        _, height, width, channels = x.shape
        x = layers.AveragePooling2D(1, strides=2)(x)
        x = layers.Reshape((-1, channels, 1))(x)
        x = layers.ZeroPadding2D(((0, 0), (0, channels)))(x)
        return layers.Reshape((height // 2, width // 2, 2 * channels))(x)

    image = layers.Input((32, 32, 3))
    x = layers.ReLU()(convolution(image, 16))
    for filters in (16, 32, 64):
        for block in range(3):
            halves = filters > 16 and block == 0
            y = layers.ReLU()(convolution(x, filters, 2 if halves else 1))
            y = convolution(y, filters)
            x = layers.ReLU()(layers.Add()([y, zero_padded(x) if halves else x]))
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


class ConvQuantizer(quantization.QuantizeConfig):
    """The original script's, which quantizes convolutions and leaves Dense float as perch does.

    AllValuesQuantizer stores per_axis and never reads it: its ranges are per tensor.
    """

    def get_weights_and_quantizers(self, layer):
        return [(layer.kernel, quantization.quantizers.AllValuesQuantizer(
            num_bits=8, symmetric=False, narrow_range=False, per_axis=False))]

    def get_activations_and_quantizers(self, layer):
        return [(layer.activation, quantization.quantizers.MovingAverageQuantizer(
            num_bits=8, symmetric=False, narrow_range=False, per_axis=False))]

    def set_quantize_weights(self, layer, weights):
        layer.kernel = weights[0]

    def set_quantize_activations(self, layer, activations):
        layer.activation = activations[0]

    def get_output_quantizers(self, layer):
        return []

    def get_config(self):
        return {}


def quantized(name, model):
    """temp_net as the original script does it, the others by tfmot's default for 8 bits."""
    if name != "temp_net":
        return quantization.quantize_model(model)
    annotated = keras.models.clone_model(model, clone_function=lambda layer: (
        quantization.quantize_annotate_layer(layer, quantize_config=ConvQuantizer())
        if isinstance(layer, layers.Conv2D) else layer))
    with quantization.quantize_scope({"ConvQuantizer": ConvQuantizer}):
        return quantization.quantize_apply(annotated)


NETWORKS = {"temp_net": temp_net, "dsc_net": dsc_net, "resnet20": resnet20}


def make(name, mode, initial):
    model = NETWORKS[name]()
    model.load_weights(initial)
    return quantized(name, model) if mode == "qat" else model
