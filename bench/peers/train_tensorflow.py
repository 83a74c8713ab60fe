"""temp_net as the original script trains it: tf.keras + tfmot, model.fit."""
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

import tensorflow as tf
import tensorflow_model_optimization as tfmot
from tensorflow import keras

tf.config.threading.set_intra_op_parallelism_threads(args.threads)
tf.config.threading.set_inter_op_parallelism_threads(args.threads)
quantization = tfmot.quantization.keras


class ConvQuantizer(quantization.QuantizeConfig):
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


images, labels = data.load(args.data)
images = images.astype("float32") / 255
model = keras.Sequential([
    keras.layers.Conv2D(32, (3, 3), padding="same", input_shape=(32, 32, 3)),
    keras.layers.BatchNormalization(),
    keras.layers.Activation("relu"),
    keras.layers.Flatten(),
    keras.layers.Dense(10, activation="softmax"),
])
if not args.float:
    annotated = keras.models.clone_model(model, clone_function=lambda layer: (
        quantization.quantize_annotate_layer(layer, quantize_config=ConvQuantizer())
        if isinstance(layer, keras.layers.Conv2D) else layer))
    with quantization.quantize_scope({"ConvQuantizer": ConvQuantizer}):
        model = quantization.quantize_apply(annotated)
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(), optimizer=keras.optimizers.Adam(0.001),
              metrics=["sparse_categorical_accuracy"])
for epoch in range(args.epochs):
    start = time.monotonic()
    history = model.fit(images, labels, batch_size=64, epochs=1, verbose=0)
    seconds = time.monotonic() - start
    print(json.dumps({"event": "epoch", "epoch": epoch, "loss": history.history["loss"][0],
                      "images_per_second": len(images) / seconds}), flush=True)
