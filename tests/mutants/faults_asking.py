"""Small faults of meaning in the search, what it writes and reads, what it prints, and in whole models served.

Chosen as those of `faults`, by reading the code first.
"""

from __future__ import annotations

from faults import Fault, of

FAULTS: tuple[Fault, ...] = (
    *of(
        "search/pareto",
        ("(best <= row).all(axis=1).any()", "(best < row).all(axis=1).any()", "only strictly worse designs leave"),
        ("np.logical_not(np.isnan(costs).any(axis=1))", "np.ones(points, np.bool_)", "NaN may be on the front"),
        (
            "low, high = logs.min(axis=0), logs.max(axis=0)",
            "low, high = logs.min(), logs.max()",
            "a knee of one scale",
        ),
        ("logs = np.log(costs)", "logs = costs", "a knee of costs, not of their logarithms"),
    ),
    *of(
        "search/running",
        ("their_numbers[other] < numbers[row]", "their_numbers[other] > numbers[row]", "the last of equals stays"),
        ("is_equal &= others[other, column]", "is_equal |= others[other, column]", "equal in one is equal"),
        ("for column in range(1, costs.shape[1]):", "for column in range(2, costs.shape[1]):", "one goal unseen"),
        (
            "order = np.lexsort((numbers, *costs.T[::-1]))",
            "order = np.lexsort((numbers, *costs.T))",
            "order by the last",
        ),
    ),
    *of(
        "search/volume",
        ("return own - hypervolume(np.maximum(others, row))", "return own - hypervolume(others)", "unlimited others"),
        ("own = float(np.prod(1.0 - row))", "own = float(np.prod(row))", "the wrong corner"),
        ("tuple((low > 0).tolist())", "tuple((low >= 0).tolist())", "logarithms of zero"),
    ),
    *of(
        "search/thinning",
        (
            "counts = np.where(left, (covers & left).sum(axis=1), -1)",
            "counts = np.where(left, covers.sum(axis=1), -1)",
            "sets count what is gone",
        ),
        ("kept &= mine <= theirs + within * np.abs(theirs)", "kept &= mine <= theirs", "no margin where exact"),
        ("less < SURE)", "less < 1 - SURE)", "nearly everything is told apart"),
    ),
    *of(
        "search/limits",
        ('tighter = min if side == "max" else max', 'tighter = max if side == "max" else min', "the looser of two"),
        ("== self.wanted", "!= (not self.wanted) or self.wanted", "knob!=value keeps the value"),
        (
            '(one <= bound if sign == "<=" else one >= bound)',
            '(one < bound if sign == "<=" else one > bound)',
            "bounds of a knob leave the bound out",
        ),
        (
            'return {"max" if goal_of(column, study) == "min" else "min": asked}',
            'return {"min" if goal_of(column, study) == "min" else "max": asked}',
            "a bare number bounds the good side",
        ),
        (
            "sure += (less if upper != turned else 1 - less) - 1",
            "sure += (less if upper else 1 - less) - 1",
            "chances of large goals turned round",
        ),
    ),
    *of(
        "search/questions",
        (
            'return point.values[column] * (-1.0 if goal == "max" else 1.0)',
            "return point.values[column]",
            "the least of what should be most",
        ),
        (
            "able = [point for point in study.points if point.feasible]",
            "able = list(study.points)",
            "designs that break limits answer",
        ),
        ('its / mine if goal == "max" else mine / its', "mine / its", "a gain below one"),
        ("asked.broken(point) == [one]", "one in asked.broken(point)", "a limit to loosen though others break"),
        ("chance < SURE]", "chance > SURE]", "alike are those that are told apart"),
    ),
    *of(
        "search/differences",
        ("self.values[1] / self.values[0] if", "self.values[0] / self.values[1] if", "the ratio turned round"),
        (
            "key=lambda row: -abs(row.values[1] - row.values[0])",
            "key=lambda row: abs(row.values[1] - row.values[0])",
            "the largest difference last",
        ),
        ("ours.get(name, 0.0) * 1e-6", "ours.get(name, 0.0) * 1e-3", "components a thousand times too large"),
    ),
    *of(
        "trace/reader",
        (
            'held = {side: {**entry[side], "segment": 0, "offset": 0} for side in ("a", "b")}',
            'held = {side: {**entry[side], "segment": 0, "offset": 0, "crc32": 0} for side in ("a", "b")}',
            "a digest of shapes alone",
        ),
        ('if found != held["crc32"]:', 'if found != held["crc32"] and record:', "the first record unchecked"),
        (
            'if manifest["complete"] and (torn or wanted != len(entries)):',
            'if manifest["complete"] and torn:',
            "missing products unseen",
        ),
        ('if entry["record"] != len(entries):', 'if entry["record"] < len(entries):', "a gap in the index"),
        ("self._checked.clear()", "pass", "verify trusts what was read before"),
    ),
    *of(
        "trace/writer",
        (
            'key=f"{dtype}{raw.shape}".encode()[:64]',
            'key=f"{dtype}".encode()[:64]',
            "equal bytes of other shapes are one",
        ),
        ("padding = -self._offset % ALIGNMENT", "padding = 0", "operands unaligned"),
        ('"causal": sorted(self._causal)', '"causal": []', "causal masks forgotten"),
        (
            "self._offset >= self._segment_bytes",
            "self._offset > 2 * self._segment_bytes",
            "segments twice their size",
        ),
    ),
    *of(
        "storage/folders",
        (
            "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
            "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
            "two processes share a folder",
        ),
        (
            "if not force and (foreign or found not in (None, kind)):",
            "if not force and foreign:",
            "folders of another kind are taken",
        ),
        ("os.close(descriptor)  # and the lock with it", "pass", "the lock outlives its block"),
    ),
    *of(
        "report/data",
        (
            'float(f"{value * 1e-6:.6g}")',
            'float(f"{value * 1e-3:.6g}")',
            "the page's components a thousand times too large",
        ),
        (
            'goals = {one.column: one.goal for one in EVERY} | dict(study.manifest["goals"])',
            "goals = {one.column: one.goal for one in EVERY}",
            "the page does not know what the metric is better as",
        ),
        ("np.rint(100 * matrix)", "np.rint(100 * matrix.T)", "chances turned round"),
        ("point.feasible and point.number not in front", "point.number not in front", "infeasible designs drawn"),
        ("sums[group] = sums.get(group, 0.0) + value", "sums[group] = value", "the last of a group counts"),
    ),
    *of(
        "report/sections",
        (
            '(">=", 1 - CLOSE) if goals[metric] == "max" else ("<=", 1 + CLOSE)',
            '(">=", 1 + CLOSE) if goals[metric] == "max" else ("<=", 1 - CLOSE)',
            "better than float32 is asked",
        ),
        (
            'study.query(maximize=column, where=where) if goals[column] == "max"',
            'study.query(maximize=column, where=where) if goals[column] == "min"',
            "questions the wrong way",
        ),
    ),
    *of(
        "cli/ask",
        ('×{one.ratio:.4g}"', '×{1 / one.ratio:.4g}"', "the runner-up's factor turned round"),
        ('f"{loose.gain - 1:.1%}"', 'f"{loose.gain:.1%}"', "a gain with its one"),
        ("if flip.sigmas <= SIGMAS]", "if flip.sigmas >= SIGMAS]", "far flips told, near ones not"),
    ),
    *of(
        "workloads/sizes",
        ("self.kv_elements * tokens * bits / 8", "self.kv_elements * tokens * bits", "a cache in bits"),
        ("batch * self.state_elements * 4", "self.state_elements * 4", "one state for all"),
        ('layer_macs=sum(linear.values()) - linear["head"]', "layer_macs=sum(linear.values())", "the head twice"),
        ("pair_macs=two.macs - one.macs", "pair_macs=two.macs", "all products are pairs"),
        ("chosen.per_token / chosen.count if chosen else 0.0", "1.0 if chosen else 0.0", "every expert is visited"),
    ),
    *of(
        "timing/serving/engine",
        (
            "pairs += new * before + new * (new + 1) // 2",
            "pairs += new * (new + 1) // 2",
            "the cache is not attended",
        ),
        (
            "new = min(prompt[one] + made[one], left)",
            "new = min(prompt[one], left)",
            "what gave way loses its answer",
        ),
        ("victim = running[runs]\n", "victim = running[0]\n", "the first gives way"),
        ("if made[one] == answer[one]:", "if made[one] >= answer[one] - 1:", "answers one token short"),
        ("now = max(now, arrival[next_one])", "now = arrival[next_one]", "time runs back"),
    ),
    *of(
        "timing/clusters/rings",
        ("max(before[chip], before[chip - 1])", "before[chip - 1]", "a link sends two parts at once"),
        ("2 * (len(links) - 1)", "len(links) - 1", "half an all-reduce"),
    ),
    *of(
        "timing/clusters/collectives",
        (
            "(n - 1) * (link.latency_s + size / n / link.bytes_s)",
            "(n - 1) * (link.latency_s + size / link.bytes_s)",
            "a ring passes the whole",
        ),
        (
            "return 2 * link.latency_s + size / link.bytes_s if n > 1 else 0.0",
            "return 2 * link.latency_s + 2 * size / link.bytes_s if n > 1 else 0.0",
            "a switch takes turns",
        ),
        ("2 * (n - 1) / n * size / one.bytes_s", "2 * n / (n - 1) * size / one.bytes_s", "a bus of too many bytes"),
    ),
    *of(
        "gates/energy",
        (
            "(supply / netlist.library.voltage) ** 2",
            "supply / netlist.library.voltage",
            "internal energy linear in supply",
        ),
        ("0.5 * load_ff * supply**2", "load_ff * supply**2", "every transition charges and discharges"),
        ("clock = 2 * toggles.steps", "clock = toggles.steps", "a clock of one edge"),
        (
            "known.leakage_nw * toggles.steps / clock_ghz * 1e-3",
            "known.leakage_nw * toggles.steps * clock_ghz * 1e-3",
            "a faster clock leaks longer",
        ),
        (
            "np.add.at(load_ff, list(bits), output_ff)",
            "load_ff[list(bits)] = output_ff",
            "outputs drive only their load",
        ),
        ("pins[net] += 1", "pins[net] = 1", "a wire to one pin"),
    ),
)
