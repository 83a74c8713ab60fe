"""What the checks in this folder share: TensorFlow as they need it, perch's answers, verdicts."""
import json
import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "bench" / "peers"), str(ROOT / "python")]

import measure

FLOAT_LIMIT, QUANTIZED_LIMIT = 1e-5, 1e-4  # of predictions, absolute


def in_tensorflow():
    """Whether this is the Python with TensorFlow; if not, runs the script in it and exits."""
    python = measure.python_of("tensorflow")
    if pathlib.Path(sys.prefix) != python.parent.parent:
        sys.exit(subprocess.run([python, *sys.argv]).returncode)


def tensorflow():
    """tensorflow and tfmot, on one thread, with kernels that round as the golden set's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import warnings
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    tf.get_logger().setLevel("ERROR")
    warnings.filterwarnings("ignore", message=".*HDF5 file.*")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf, tfmot


class Verdicts:
    """Prints each check's outcome and counts those that failed."""

    def __init__(self, quiet=False):
        self.quiet, self.passed, self.failures = quiet, 0, 0

    def tell(self, name, passed, text):
        self.failures += not passed
        self.passed += bool(passed)
        if not (passed and self.quiet):
            print("passed" if passed else "FAILED", name, text, sep="  ", flush=True)


class Reader:
    """perch_read_keras_files, which answers what perch makes of a file."""

    def __init__(self, program, folder):
        import numpy as np
        self.np, self.folder = np, folder
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, file, **wanted):
        """The answer's JSON; `x` is an array, and comes back as predictions in `y`."""
        np, job = self.np, {"file": str(file)}
        job.update({key: str(value) if isinstance(value, os.PathLike) else value
                    for key, value in wanted.items() if key not in ("x", "taps")})
        if "x" in wanted:
            np.ascontiguousarray(wanted["x"], "<f4").tofile(self.folder / "x.f32")
            job.update(x=str(self.folder / "x.f32"), y=str(self.folder / "y.f32"))
        if wanted.get("taps"):
            job["taps"] = str(self.folder / "taps.f32")
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"perch_read_keras_files died of {json.dumps(job)}")
        answer = json.loads(line)
        if "y" in answer:
            answer["y"] = np.fromfile(job["y"], "<f4").reshape(answer["y"])
        if "taps" in answer:
            answer["taps"] = self._taps(job["taps"], answer["taps"])
        return answer

    def _taps(self, path, listed):
        """{(layer, weight): values}; the weight of a layer's output is ''."""
        np, values, at, taps = self.np, self.np.fromfile(path, "<f4"), 0, {}
        for tap in listed:
            size = int(np.prod(tap["shape"]))
            taps[tap["layer"], tap["weight"]] = values[at:at + size].reshape(tap["shape"])
            at += size
        return taps


class Codes:
    """Fake-quant codes of TensorFlow's model against those of perch's.

    Both compute them with the same range, so that what differs is the float sums before them.
    """

    def __init__(self, np, tf):
        self.np, self.tf = np, tf
        self.count = self.differ = self.levels = 0

    def compare(self, model, x, taps):
        """How many codes differ, of how many, and by how many levels at most."""
        np, outputs = self.np, []
        for layer in model.layers:
            step = self._output_step(layer)
            if step is not None and (layer.name, "") in taps:
                outputs.append((layer, step))
        count, differ, levels = 0, 0, 0
        pairs = [(taps[layer.name, weight], self._quantized(layer, index), self._step(
                     quantizer, ranges))
                 for layer in model.layers
                 for index, (variable, quantizer, ranges) in enumerate(
                     getattr(layer, "_weight_vars", []))
                 if (weight := variable.name.split(":")[0].split("/")[-1])
                 and (layer.name, weight) in taps]
        if outputs:
            # A Sequential that was put together again has calls of former inputs, too.
            ends = [layer.get_output_at(len(layer.inbound_nodes) - 1) for layer, _ in outputs]
            found = self.tf.keras.Model(model.inputs, ends)
            values = found.predict(x, verbose=0)
            values = values if isinstance(values, list) else [values]
            pairs += [(taps[layer.name, ""], value, step)
                      for (layer, step), value in zip(outputs, values)]
        for ours, theirs, step in pairs:
            step = np.where(step > 0, step, 1)
            steps = np.abs(np.rint((ours - theirs) / step))
            count += steps.size
            differ += int((steps > 0).sum())
            levels = max(levels, int(steps.max()))
        self.count += count
        self.differ += differ
        self.levels = max(self.levels, levels)
        return differ, count, levels

    def __str__(self):
        return f"of {self.count:,} codes {self.differ} differ, by at most {self.levels} level(s)"

    def _step(self, quantizer, ranges):
        np = self.np
        if not ranges:  # tfmot's FixedQuantizer
            return None
        low, high = ranges["min_var"].numpy(), ranges["max_var"].numpy()
        axes = getattr(quantizer, "axes", ())
        step = (high - low) / (2.0 ** quantizer.num_bits - 1 - bool(quantizer.narrow_range))
        return step if np.ndim(step) == 0 or not axes or tuple(axes) == (-1,) else step.max()

    def _quantized(self, layer, index):
        variable, quantizer, ranges = layer._weight_vars[index]
        return quantizer(variable, False, ranges).numpy()

    def _output_step(self, layer):
        """The distance of the levels on which a layer's output lies; None where on none."""
        if type(layer).__name__ == "QuantizeLayer":
            return self._step(layer.quantizer, layer.quantizer_vars) if layer.quantizer else None
        if getattr(layer, "_output_quantizers", None):
            return self._step(layer._output_quantizers[0], layer._output_quantizer_vars)
        for activation in getattr(layer, "_quantize_activations", []):
            if activation._should_post_quantize():
                return self._step(activation.quantizer, activation._post_activation_vars)
        return None


def randomize(np, model, seed):
    """Weights that no initializer makes: every one of them, statistics and biases, matters."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.name.split("/")[-1]
        if "int" in weight.dtype.name or "_min" in name or "_max" in name:
            continue
        values = random.normal(size=weight.shape).astype(np.float32)
        if "kernel" in name:
            values *= 1.2 / max(np.prod(weight.shape[:-1]), 1) ** 0.5
        elif "variance" in name:
            values = 0.5 + values ** 2
        elif "gamma" in name:
            # So that sums over many residual branches do not grow without end.
            values = (0.5 if len(model.layers) > 100 else 1) + 0.3 * values
        else:
            values *= 0.3
        weight.assign(values)


def write_images(np, path, count):
    """Records of 3,073 bytes of CIFAR-10's form, and the same as TensorFlow wants them."""
    random = np.random.default_rng(1)
    labels = np.arange(count, dtype=np.uint8) % 10
    planes = random.integers(0, 256, (count, 3, 32, 32)) * (labels[:, None, None, None] + 3) // 12
    planes = planes.astype(np.uint8)
    np.concatenate([labels[:, None], planes.reshape(count, -1)], 1).tofile(path)
    return (planes.transpose(0, 2, 3, 1) / np.float32(255)).astype(np.float32), labels
