#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""On a machine with an NVIDIA GPU, from Python alone: what holds for CUDA in each way of being in a
partition, the examples, the watchdog and the end of the time. Prints a table of what was found;
skipped elsewhere. Frameworks that are not here are left out, and said.

Arguments: names of rows, if not all are wanted."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import inside
import lib
from inside import PYTHON, finish, script, start
from lib import GIB, T, alice, check

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.environ["EXAMPLES"]
SHARE = 0.1
LIMITED = False  # whether chronosfs itself limits CUDA's memory in this version

# How CUDA is used without a framework; NVML alone, and a library that is only loaded, are no use.
DRIVER = """
import ctypes, os, sys
import chronos
from chronos import Partitioner, _environment
used = _environment._uses_cuda
def open_files():
    found = [os.path.realpath("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")]
    return sorted(path[12:] for path in found if path.startswith("/dev/nvidia"))
cuda = ctypes.CDLL("libcuda.so.1")
def count():
    number = ctypes.c_int()
    assert cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(number)) == 0
    return number.value
seen = ["library: ", *open_files()]
try:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    assert nvml.nvmlInit_v2() == 0
    seen += ["NVML: ", *open_files()]
except OSError:
    pass
assert not used(), "NVML alone, and a library that is only loaded"
"""
# What a program gets with PyTorch: a GiB more than its share, in pieces.
TORCH = """
import json, os, sys, time
import chronos
kept = []
def fill(size):
    import torch
    while len(kept) << 28 < size:
        kept.append(torch.empty(1 << 28, dtype=torch.uint8, device="cuda"))
    torch.cuda.synchronize()
def use():
    import torch
    torch.zeros(1, device="cuda")
def sees():
    import torch
    p, said = chronos.current(), "granted"
    try:
        fill(p.memory_limit + (1 << 30))
    except RuntimeError as error:
        assert "out of memory" in str(error), error
        said = "refused"
    got, until = len(kept) << 28, time.monotonic() + 10
    while p.memory_used < got and time.monotonic() < until:
        time.sleep(0.1)
    print(json.dumps(dict(devices=torch.cuda.device_count(), said=said, got=got,
                          limit=p.memory_limit, used=p.memory_used,
                          inside=os.getpid() in p.processes, by=p.enforcement["memory"])))
"""
CREATE = f"p = chronos.Partitioner().create(0, {SHARE}, 300)\n"
# the way: what the program does; whether it is too late for the devices; whether it is limited
WAYS = {
    "create, then import torch": (CREATE + "sees()", False, LIMITED),
    "torch imported, then create": ("import torch\n" + CREATE + "sees()", False, LIMITED),
    "torch used, then create": ("use()\n" + CREATE + "sees()", True, False),
    "create and limit_torch": (CREATE + "p.limit_torch()\nsees()", False, True),
    "torch used, then limit(reexec)": (
        f"use()\np = chronos.limit({SHARE}, 300, 0, reexec=True)\nsees()", False, LIMITED),
    "the same and limit_torch": (
        f"chronos.limit({SHARE}, 300, 0, reexec=True).limit_torch()\nsees()", False, True),
    "python3 -m chronos run": ("sees()", False, LIMITED),
    "chronos run": ("sees()", False, LIMITED),
}
PROGRAMS = {"python3 -m chronos run": [PYTHON, "-m", "chronos", "run", "--memory", str(SHARE),
                                       "--device", "0"],
            "chronos run": [os.environ["CHRONOS"], "run", "--gpu", "0", str(SHARE), "300", "--",
                            PYTHON]}
table = []


def row(name, found, good=None):
    """`good`: None where something is measured only."""
    table.append((name, found, {None: "-", True: "as documented"}.get(good, "NOT AS DOCUMENTED")))
    print(f"[{time.monotonic() - BEGAN:.0f} s] {name}: {found}", flush=True)
    if good is not None:
        check(good, name, found)


def has(module):
    return not subprocess.run([PYTHON, "-c", f"import {module}"], check=False,
                              capture_output=True).returncode


def run(mount, code, *words, **options):
    return finish(start(mount, script(code), *words, **options))


def gpus():
    """(index, uuid, name, driver, MiB in use) of each, as nvidia-smi tells."""
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "--format=csv,noheader,nounits",
                           "--query-gpu=index,uuid,name,driver_version,memory.used"],
                          capture_output=True, text=True, check=False)
    return [line.split(", ") for line in done.stdout.splitlines()] if not done.returncode else []


def in_use(mount):
    """MiB in use on gpu0."""
    uuid = mount.read("gpu0", "uuid")
    return next(int(gpu[4]) for gpu in gpus() if gpu[1] == uuid)


def history(mount):
    """How the latest partition ended."""
    lib.wait_for(lambda: not mount.partitions())
    return re.search(r"how=(\S+)", mount.read("history").splitlines()[-1])[1]


# -- rows


def driver(mount):
    """Without a framework: CUDA_VISIBLE_DEVICES counts before the first use, and is warned of
    after it."""
    done = run(mount, DRIVER + f"with Partitioner().create(0, {SHARE}, 60) as p:\n"
               "    assert count() == 1 and used()\n"
               "print('sees 1 device; open with', *seen, 'CUDA: ', *open_files())\n")
    row("driver: create before its first use", done if done.code else done.out,
        (done.code, done.err) == (0, ""))
    done = run(mount, DRIVER + f"count()\nassert used()\nPartitioner().create(0, {SHARE}, 60)\n")
    warned = "ChronosWarning: CUDA was used before in this program" in done.err
    row("driver: create after it", done if done.code else f"warned: {warned}",
        done.code == 0 and warned)


def ways(mount):
    everything = len(gpus())
    for name, (code, late, limited) in WAYS.items():
        path = script(TORCH + code)
        if name in PROGRAMS:
            env = inside.environment(mount)
            process = subprocess.Popen(PROGRAMS[name] + [path], env=env, cwd=T, user=alice.uid,
                                       group=alice.gid, extra_groups=[], text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
            done = finish(process)
        else:
            done = finish(start(mount, path))
        if done.code:
            row(name, done, False)
            continue
        seen = json.loads(done.out.splitlines()[-1])
        warned = "ChronosWarning: CUDA was used before" in done.err
        mib = {word: seen[word] >> 20 for word in ("got", "limit", "used")}
        row(name, f"{seen['said']}: {mib['got']} of {mib['limit']} MiB, driver reports "
            f"{mib['used']}, devices {seen['devices']} of {everything}, warned {warned}, "
            f"inside {seen['inside']}, enforced by {seen['by']}",
            seen["said"] == ("refused" if limited else "granted") and
            (seen["got"] <= seen["limit"]) == limited and seen["used"] >= seen["got"] and
            seen["devices"] == (everything if late else 1) and warned == late and
            seen["inside"])


def watchdog(mount):
    """With `end` it ends a program that uses more than its partition has, and leaves one alone that
    fills it."""
    for name, text in (("watchdog_interval", "1"), ("watchdog_grace", "2"), ("watchdog", "end")):
        mount.write(text, "config", name)
    began = time.monotonic()
    done = run(mount, TORCH + CREATE + "fill(p.memory_limit + (4 << 30))\nprint('up', flush=True)\n"
               "time.sleep(100)")
    events = [line.split()[2] for line in mount.read("events").splitlines() if "over-limit" in line]
    row("watchdog end: 4 GiB more than its share", f"exit {done.code} after "
        f"{time.monotonic() - began:.0f} s, {', '.join(events)}",
        (done.code, done.out) == (-15, "up\n") and "ended-over-limit" in events)
    done = run(mount, TORCH + CREATE + "p.limit_torch()\nfill(p.memory_limit - (1 << 28))\n"
               "time.sleep(12)")
    row("watchdog end: fills its share", f"exit {done.code} {done.err}", done.code == 0)
    if has("jax"):
        done = run(mount, "import chronos, time\n" + CREATE + "import jax\nx = jax.numpy.ones(9)\n"
                   "x.block_until_ready()\ntime.sleep(12)\n"
                   "print(p.memory_used >> 20, p.memory_limit >> 20)")
        row("watchdog end: JAX, which takes its share at its start",
            f"exit {done.code}, MiB in use and limit: {done.out.strip()} {done.err[-500:]}",
            done.code == 0)
    mount.write("report", "config", "watchdog")


def end(mount):
    """The time is up inside the program; what it had on the device is free again."""
    before, began = in_use(mount), time.monotonic()
    done = run(mount, TORCH + f"p = chronos.Partitioner().create(0, {SHARE}, 20)\nfill(4 << 30)\n"
               "print('up', flush=True)\nwhile True: use()\n")
    took = time.monotonic() - began
    lib.wait_for(lambda: in_use(mount) <= before + 16)
    row("the end of the time", f"exit {done.code} {took:.1f} s after its start, {history(mount)}, "
        f"MiB in use before and after: {before}, {in_use(mount)}",
        (done.code, done.out) == (-15, "up\n") and took >= 20 and in_use(mount) <= before + 16)


def example(mount, framework, name, unit, steps):
    """It saves before its time is up; the next run goes on, and ends."""
    if not has(framework):
        row(name, f"no {framework} here")
        return
    home = os.path.join(T, framework)
    os.mkdir(home)
    os.chown(home, alice.uid, alice.gid)
    path = shutil.copy(os.path.join(EXAMPLES, name), T)
    os.chmod(path, 0o755)

    def example_run(*words, **variables):
        env = dict(inside.environment(mount, **variables), HOME=home)
        return finish(start(mount, path, *words, env=env, cwd=home))
    said = re.compile(rf"{unit} (\d+): loss ([\d.]+), saved, (\d+) s left\n")
    done = example_run(str(SHARE), "40s", **{steps: "100000000"})
    found = said.fullmatch(done.out)
    ended = history(mount)
    row(f"{name}, 40 s of 10 %", f"exit {done.code}: {done.out.strip()}, {ended} {done.err[-500:]}",
        bool(done.code == 75 and found and int(found[3]) > 0 and ended in ("released", "closed")))
    if found:
        last = int(found[1]) + 200
        done = example_run(str(SHARE), "10m", **{steps: str(last + 1)})
        again = said.fullmatch(done.out)
        row(f"{name}, again", f"exit {done.code}: {done.out.strip()} {done.err[-500:]}",
            bool(done.code == 0 and again and int(again[1]) == last))
    if framework == "torch":
        done = example_run(str(SHARE), "60s", os.path.join(home, "large"), WIDTH=str(1 << 27))
        error = done.err.strip().splitlines()[-1:] or [""]
        row(f"{name}, a model of 8 GiB", f"exit {done.code}: {error[0][:160]}",
            done.code == 1 and "out of memory" in error[0])


def examples(mount):
    example(mount, "torch", "pytorch.py", "epoch", "EPOCHS")
    example(mount, "jax", "train_jax.py", "step", "STEPS")
    example(mount, "tensorflow", "train_tensorflow.py", "step", "STEPS")


def probes(mount):
    """Which library would catch the allocations: one that is loaded into the running program, as it
    is or under the driver's name, or one that is loaded at its start? Only measured."""
    if not shutil.which("cc"):
        row("what a library catches", "no compiler here")
        return
    place = os.path.join(T, "probe")
    os.makedirs(place + "/driver")
    found = subprocess.run([PYTHON, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1'); print(next("
                            "line.split()[-1] for line in open('/proc/self/maps') "
                            "if '/libcuda.so' in line))"], capture_output=True, text=True,
                           check=True).stdout.strip()
    behind = place + "/driver/libcuda.so.1"  # what the one with the driver's name needs
    os.symlink(found, behind)
    build = ["cc", "-shared", "-fPIC", "-O2", "-w"]
    source = os.path.join(HERE, "cuda_probe.c")
    for words in ([source, "-o", place + "/probe.so"],
                  ["-xc", os.devnull, f"-Wl,-soname,{behind}", "-o", place + "/empty.so"],
                  [source, "-Wl,-soname,libcuda.so.1", "-Wl,--no-as-needed", place + "/empty.so",
                   "-o", place + "/libcuda.so.1"]):
        subprocess.run([*build, *words, "-ldl"], check=True)
    subprocess.run(["chmod", "-R", "a+rX", place], check=True)
    load = "import ctypes\nctypes.CDLL('{}', ctypes.RTLD_GLOBAL)\n"
    uses = {"torch": "import torch\n"
            "kept = torch.empty(1 << 30, dtype=torch.uint8, device='cuda')\n",
            "jax": "import jax\njax.numpy.ones(1 << 20).block_until_ready()\n"}
    for framework, use in uses.items():
        if not has(framework):
            continue
        for way, first, preload in (
                ("ctypes.CDLL(RTLD_GLOBAL) before", load.format(place + "/probe.so"), ""),
                ("the same, after its first use", use + load.format(place + "/probe.so"), ""),
                ("CDLL of one named libcuda.so.1 before", load.format(place + "/libcuda.so.1"), ""),
                ("LD_PRELOAD, by a re-exec", "", place + "/probe.so")):
            out = os.path.join(T, "caught")
            env = inside.environment(mount, PROBE_DRIVER=found, PROBE_OUT=out,
                                     XLA_PYTHON_CLIENT_MEM_FRACTION="0.05")
            if preload:
                env["LD_PRELOAD"] = preload
            open(out, "w").close()
            os.chmod(out, 0o666)
            done = run(mount, first + use, env=env)
            calls, size = (lib.read(out).split() or ["?", "0"])[:2]
            row(f"{framework}: {way}", f"catches {calls} calls, {int(size) >> 20} MiB, "
                f"exit {done.code} {done.err[-300:]}")


def costs(mount):
    """tests/python/bench.py on this machine, which has nothing else to do."""
    place = os.path.join(T, "bench")
    os.mkdir(place)
    os.chmod(place, 0o755)
    done = subprocess.run([PYTHON, os.path.join(HERE, "bench.py")], env=dict(os.environ, T=place),
                          capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        name, _, found = line.partition(": ")
        if found:
            row("cost, " + name, found)


ROWS = {"driver": driver, "ways": ways, "watchdog": watchdog, "end": end, "examples": examples,
        "probes": probes, "costs": costs}


def main():
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if not gpus():
        raise lib.Skip("no NVIDIA GPU here")
    mount = lib.Mount(opencl=True)
    uuid = mount.read("gpu0", "uuid")
    versions = subprocess.run([PYTHON, "-c", """
import importlib, sys
print("Python", sys.version.split()[0], end="")
for name in ("torch", "jax", "tensorflow"):
    try:
        print(",", name, importlib.import_module(name).__version__, end="")
    except ImportError:
        pass
"""], capture_output=True, text=True, check=False).stdout
    row("machine", f"{len(gpus())} x {gpus()[0][2]}, driver {gpus()[0][3]}, "
        f"{int(mount.read('gpu0', 'memory_total')) / GIB:.1f} GiB, {versions}")
    check(uuid in [gpu[1] for gpu in gpus()], "gpu0 is", uuid)
    for name in sys.argv[1:] or ROWS:
        if name in ("ways", "watchdog", "end") and not has("torch"):
            row(name, "no torch here")
            continue
        ROWS[name](mount)
        mount.release_all()
    mount.close()
    print("\n| | found | |\n|---|---|---|")
    for cells in table:
        print("| " + " | ".join(str(cell).replace("\n", " ").strip() for cell in cells) + " |")


BEGAN = time.monotonic()
lib.run(main)
