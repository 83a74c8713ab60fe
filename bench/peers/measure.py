"""Runs one network once in perch or a peer and reads what it reports."""
import dataclasses
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys

import targets

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENV = ROOT / "build" / "peers"
PACKAGES = {
    "tensorflow": ["tensorflow-cpu==2.15.1", "tensorflow-model-optimization==0.8.0",
                   "tf_keras==2.15.1", "numpy==1.26.4"],
    "pytorch": ["torch==2.6.0", "numpy==1.26.4", "h5py==3.12.1"],
}
RECORD = 3073  # bytes: label, pixels
# perch in another way: flags of train and evaluate, environment.
VARIANTS = {
    "": ([], {}),
    "one_thread": (["--threads", "1"], {}),
    "avx2": ([], {"PERCH_FORCE_ARCH": "avx2"}),
    "no_fuse": (["--no-fuse"], {}),
    "integer_on": (["--integer-forward", "on"], {}),
    "integer_off": (["--integer-forward", "off"], {}),
}


@dataclasses.dataclass(frozen=True)
class Job:
    peer: str
    network: str
    mode: str
    variant: str = ""

    def __str__(self):
        return " ".join(filter(None, [self.network, self.mode, self.peer, self.variant]))


def python_of(peer):
    """The peer's interpreter, in an environment that is complete."""
    folder = ENV / peer
    done = folder / ".complete"
    packages = "\n".join(PACKAGES[peer]) + "\n"
    if not done.exists() or done.read_text() != packages:
        print(f"setting up {peer} in {folder.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *PACKAGES[peer]], check=True)
        done.write_text(packages)
    return folder / "bin" / "python"


def make_subset(data, images):
    """A folder with the first `images` records of the training batches.

    Copied record by record: a child's peak memory begins with its parent's, so this process stays
    small.
    """
    folder = ENV / f"subset_{images}"
    target = folder / "data_batch_1.bin"
    files = sorted(data.glob("data_batch_*.bin"))
    held = sum(file.stat().st_size for file in files) // RECORD
    if held < images:
        sys.exit(f"{data} holds {held} training images, not {images}; "
                 "see perch data fetch cifar10, or choose fewer --images")
    folder.mkdir(parents=True, exist_ok=True)
    left = images
    with open(target, "wb") as output:
        for file in files:
            with open(file, "rb") as records:
                while left and (record := records.read(RECORD)):
                    output.write(record)
                    left -= 1
    return folder


def events(command, environment):
    """The JSON lines of a run, which has to succeed."""
    process = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    if process.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{process.stderr[-2000:]}")
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]


@functools.cache
def initial_weights(perch, network, subset, seed):
    """The file that all train from: perch's float network before the first step."""
    name = f"initial_{network}_{seed}"
    made = events([perch, "train", network, "--data", subset, "--epochs", 0, "--seed", seed,
                   "--quantizer", "none", "--save", ENV / "models", "--name", name, "--json",
                   "--quiet"], {})
    return made[-1]["model"]


def of_perch(job, subset, args, seed):
    flags, environment = VARIANTS[job.variant]
    flags = ["--threads", args.threads, *flags] if "--threads" not in flags else flags
    trained = events(
        [args.perch, "train", job.network, "--data", subset, "--epochs", args.epochs,
         "--batch-size", targets.NETWORKS[job.network]["batch_size"], "--validation-split", 0,
         "--seed", seed, "--from", initial_weights(args.perch, job.network, subset, seed),
         "--save", ENV / "models", "--json", "--quiet", *flags,
         *(["--quantizer", "none"] if job.mode == "float" else ["--per-channel"])], environment)
    result = trained[-1]
    values = {"first_step_seconds": result["first_step_seconds"],
              "peak_mb": result["peak_rss_mb"]}
    if job.mode == "qat":
        evaluated = events([args.perch, "evaluate", result["model"], "--data", subset,
                            "--batch-size", 64, "--json", *flags], environment)
        values["inference"] = evaluated[-1]["images_per_second"]
    return trained, values


def of_peer(job, subset, args, seed):
    found = events(
        [python_of(job.peer), HERE / f"train_{job.peer}.py", "--network", job.network, "--mode",
         job.mode, "--data", subset, "--batch-size",
         targets.NETWORKS[job.network]["batch_size"], "--epochs", args.epochs, "--threads",
         args.threads, "--seed", seed,
         "--initial", initial_weights(args.perch, job.network, subset, seed)],
        {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"})
    named = {event["event"]: event for event in found}
    values = {"first_step_seconds": named["first_step"]["seconds"],
              "peak_mb": named["trained"]["peak_mb"]}
    if "inference" in named:
        values["inference"] = named["inference"]["images_per_second"]
    return found, values


def run(job, subset, args, seed):
    """The job's figures: images/s of the median epoch after the first, which warms up."""
    found, values = (of_perch if job.peer == "perch" else of_peer)(job, subset, args, seed)
    epochs = [event for event in found if event["event"] == "epoch"]
    rate = statistics.median(epoch["images_per_second"] for epoch in epochs[1:])
    return {**dataclasses.asdict(job), "training": rate,
            "losses": [epoch["loss"] for epoch in epochs], **values}
