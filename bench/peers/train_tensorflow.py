"""One network in tf.keras + tfmot: model.fit, then inference of the quantized model."""
import time

import data

args = data.arguments()

import tensorflow as tf
from tensorflow import keras

import models_tensorflow

tf.config.threading.set_intra_op_parallelism_threads(args.threads)
tf.config.threading.set_inter_op_parallelism_threads(args.threads)
keras.utils.set_random_seed(args.seed)


class FirstStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            data.event("first_step", seconds=data.seconds_since_start())


images, labels = data.load(args.data)
images = images.astype("float32")
images /= 255
model = models_tensorflow.make(args.network, args.mode, args.initial)
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              optimizer=keras.optimizers.Adam(0.001), metrics=["sparse_categorical_accuracy"])
for epoch in range(args.epochs):
    start = time.monotonic()
    history = model.fit(images, labels, batch_size=args.batch_size, epochs=1, verbose=0,
                        callbacks=[FirstStep()] if epoch == 0 else [])
    seconds = time.monotonic() - start
    data.event("epoch", loss=history.history["loss"][0], images_per_second=len(images) / seconds)
data.event("trained", peak_mb=data.peak_mb())

if args.mode == "qat":
    # Faster than model.predict, which makes a data set first.
    forward = tf.function(lambda batch: model(batch, training=False))
    rate = data.inference_rate(
        lambda first, last: forward(tf.constant(images[first:last])).numpy(), len(images))
    data.event("inference", images_per_second=rate)
