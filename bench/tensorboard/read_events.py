"""Reads runs' event files with TensorBoard's own reader; exits with the number of runs that differ."""
import csv
import json
import math
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def differences(run):
    """What is wrong in a run's folder, and a line of what was read."""
    everything = {'scalars': 0, 'histograms': 0, 'tensors': 0}
    events = EventAccumulator(str(run), size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    rows = list(csv.DictReader((run / 'metrics.csv').open()))
    wrong = []
    compared = 0
    for name in rows[0]:
        expected = [(int(r['epoch']), float(r[name])) for r in rows if r[name] != '']
        if name == 'epoch' or not expected:
            continue
        tag = f'epoch/{name}'
        found = [(e.step, e.value) for e in events.Scalars(tag)] if tag in tags['scalars'] else []
        # Rates and times have fewer digits in the table.
        tolerance = 1e-3 if name in ('images_per_second', 'seconds') else 1e-6
        same = len(found) == len(expected) and all(
            f[0] == e[0] and math.isclose(f[1], e[1], rel_tol=tolerance, abs_tol=tolerance)
            for f, e in zip(found, expected))
        compared += len(expected)
        if not same:
            wrong.append(f'{tag}: {found} instead of {expected}')
    lines = [json.loads(line) for line in (run / 'metrics.jsonl').open()]
    if [line['epoch'] for line in lines] != [int(row['epoch']) for row in rows]:
        wrong.append('metrics.jsonl has other epochs than metrics.csv')
    for tag in tags['histograms']:
        drawn = events.Histograms(tag)
        if [h.step for h in drawn] != [int(row['epoch']) for row in rows]:
            wrong.append(f'{tag}: steps {[h.step for h in drawn]}')
        for one in drawn:
            value = one.histogram_value
            if sum(value.bucket) != value.num or not value.min <= value.max:
                wrong.append(f'{tag}: buckets do not add up')
    return wrong, (f'{len(rows)} epochs, {compared} values as in metrics.csv, '
                   f'{len(tags["scalars"])} scalars, {len(tags["histograms"])} histograms')


failed = 0
for argument in sys.argv[1:]:
    wrong, read = differences(pathlib.Path(argument))
    failed += bool(wrong)
    print(f'{argument}: {"; ".join(wrong) if wrong else read}')
sys.exit(failed)
