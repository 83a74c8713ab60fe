"""The comparison's tables in Markdown, from the runs of run; and the check of the losses."""
import re
import statistics

import targets
from targets import MODES, PEERS


def table(title, header, rows):
    lines = [f"{title}\n", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def against(figure, target, at_least=True):
    """The figure; the target and whether it is met where there is one."""
    if figure is None:
        return "-"
    if target is None:
        return f"{figure:.2f}"
    met = figure >= target if at_least else figure <= target
    return f"{figure:.2f} ({'≥' if at_least else '≤'} {target:g}: {'met' if met else 'not met'})"


class Report:
    def __init__(self, results):
        self.meta, self.runs = results["meta"], results["runs"]
        self.peers = [peer for peer in PEERS if any(run["peer"] == peer for run in self.runs)]
        self.others = [peer for peer in self.peers if peer != "perch"]
        self.rows = [(network, mode) for network in targets.NETWORKS for mode in MODES
                     if any((run["network"], run["mode"]) == (network, mode) for run in self.runs)]

    def median(self, peer, network, mode, key, variant=""):
        """Over the rounds; None when there is no such figure."""
        found = [run[key] for run in self.runs if run.get(key) is not None and
                 (run["peer"], run["network"], run["mode"], run["variant"]) ==
                 (peer, network, mode, variant)]
        return statistics.median(found) if found else None

    def last_loss(self, peer, network, mode):
        found = [run["losses"][-1] for run in self.runs if run["variant"] == "" and
                 (run["peer"], run["network"], run["mode"]) == (peer, network, mode)]
        return statistics.median(found) if found else None

    def ratio(self, over, under):
        """Of two medians given as arguments of median()."""
        over, under = self.median(*over), self.median(*under)
        return over / under if over and under else None

    def cells(self, key, network, mode):
        values = [self.median(peer, network, mode, key) for peer in self.peers]
        return ["-" if value is None else f"{value:,.0f}" for value in values]

    def speed(self, title, key, goals):
        """images/s of all, and perch's over the peers'."""
        rows = []
        for network, mode in self.rows:
            if all(self.median(peer, network, mode, key) is None for peer in self.peers):
                continue
            ratios = [against(self.ratio(("perch", network, mode, key), (peer, network, mode, key)),
                              goals.get((network, mode), {}).get(peer)) for peer in self.others]
            rows.append([network, MODES[mode], *self.cells(key, network, mode), *ratios])
        header = ["network", "mode", *map(PEERS.get, self.peers),
                  *(f"over {PEERS[peer]}" for peer in self.others)]
        return table(title, header, rows)

    def first_step(self):
        def cell(peer, network, mode):
            return against(self.median(peer, network, mode, "first_step_seconds"),
                           targets.FIRST_STEP_SECONDS if peer == "perch" else None, at_least=False)
        rows = [[network, MODES[mode], *(cell(peer, network, mode) for peer in self.peers)]
                for network, mode in self.rows]
        return table("Seconds from the start of the process to the end of the first training step:",
                     ["network", "mode", *map(PEERS.get, self.peers)], rows)

    def memory(self):
        rows = []
        for network, mode in self.rows:
            shares = [against(self.ratio(("perch", network, mode, "peak_mb"),
                                         (peer, network, mode, "peak_mb")),
                              targets.MEMORY.get(network) if peer == "tensorflow" else None,
                              at_least=False) for peer in self.others]
            rows.append([network, MODES[mode], *self.cells("peak_mb", network, mode), *shares])
        return table("Peak memory of training, MB" +
                     (", and perch's share of the peers':" if self.others else ":"),
                     ["network", "mode", *map(PEERS.get, self.peers),
                      *(f"of {PEERS[peer]}" for peer in self.others)], rows)

    def deviations(self, network, mode):
        """Of perch's loss in the last epoch from each peer's."""
        own = self.last_loss("perch", network, mode)
        losses = {peer: self.last_loss(peer, network, mode) for peer in self.others}
        return {peer: own / loss - 1 for peer, loss in losses.items() if own and loss}

    def losses(self):
        rows = []
        for network, mode in self.rows:
            values = [self.last_loss(peer, network, mode) for peer in self.peers]
            apart = self.deviations(network, mode)
            rows.append([network, MODES[mode],
                         *("-" if value is None else f"{value:.3f}" for value in values),
                         *(f"{apart[peer]:+.1%}" if peer in apart else "-"
                           for peer in self.others)])
        return table(f"Training loss, mean of epoch {self.meta['epochs']}:",
                     ["network", "mode", *map(PEERS.get, self.peers),
                      *(f"from {PEERS[peer]}" for peer in self.others)], rows)

    def own(self):
        """perch against itself. Ratios of speeds; only QAT over float is one of times."""
        rows = []
        names = list(dict.fromkeys(network for network, _ in self.rows))
        for network in names:
            figure = self.ratio(("perch", network, "float", "training"),
                                ("perch", network, "qat", "training"))
            if figure:
                rows.append([network, "time of a step, QAT over float",
                             against(figure, targets.QAT_OVER_FLOAT, at_least=False), "-"])
        threads = self.meta["threads"]
        for name, label, over, under in (
                ("threads", f"{threads} threads over 1", "", "one_thread"),
                ("avx2", "AVX2 over AVX-512", "avx2", ""),
                ("fuse", "fused over layer by layer", "", "no_fuse"),
                ("integer_on", "integer forward, on over off", "integer_on", "integer_off"),
                ("integer_fast", "integer forward, fast over off", "", "integer_off")):
            for network in names:
                training, inference = (
                    self.ratio(("perch", network, "qat", key, over),
                               ("perch", network, "qat", key, under))
                    for key in ("training", "inference"))
                if training:
                    rows.append([network, f"QAT, {label}",
                                 against(training, targets.OWN.get(name)),
                                 against(inference, None)])
        return table("perch beside itself, ratios of speed unless said otherwise:",
                     ["network", "", "training", "inference"], rows) if rows else None

    def text(self):
        meta = self.meta
        sizes = ", ".join(f"{name} {size['batch_size']} of {size['images']:,}"
                          for name, size in meta["networks"].items())
        rounds = f"medians of {meta['rounds']} rounds" if meta["rounds"] > 1 else "one round"
        intro = (f"`{meta['command']}`\non {meta['date']}: {meta['cpu']}; {meta['threads']} "
                 f"threads, {rounds}.\nAdam 0.001, {meta['epochs']} epochs, no augmentation; "
                 f"batch size and images: {sizes}.\n")
        parts = [intro]
        if self.others:
            parts.append(self.speed("Training, images/s (median of the epochs after the first):",
                                    "training", targets.TRAINING))
            parts.append(self.speed("Inference of the quantized networks, images/s at batch 64:",
                                    "inference", targets.INFERENCE))
        parts += [self.first_step(), self.memory()]
        if self.others:
            parts.append(self.losses())
        return "\n".join([*parts, *filter(None, [self.own()])])

    def too_short(self):
        """Networks trained on fewer images than a full comparison's, whose losses say little."""
        return [name for name, size in self.meta["networks"].items()
                if size["images"] < targets.NETWORKS[name]["images"]]

    def disagreements(self):
        """A line for each loss of perch too far from a peer's."""
        return [f"{network} {MODES[mode]}: loss {share:+.1%} from {PEERS[peer]}'s, more than "
                f"{targets.LOSS_TOLERANCE[mode]:.0%}"
                for network, mode in self.rows if network not in self.too_short()
                for peer, share in self.deviations(network, mode).items()
                if abs(share) > targets.LOSS_TOLERANCE[mode]]


def write(page, text, section="peers"):
    """Between the page's markers of a section."""
    begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
    old = page.read_text()
    new, count = re.subn(f"{begin}.*{end}", lambda _: f"{begin}\n{text}{end}", old, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{page} has no {begin} ... {end} to write between; put them back")
    page.write_text(new)
