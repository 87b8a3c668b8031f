"""A side that knows no library: of any program it gives twice the number of coordinates, the Laplacian of |x|^2."""

import os
import time

import numpy as np


def software(task):
    return {"toy": "1.0", "precision": task.precision, "threads": os.environ["OMP_NUM_THREADS"]}


class Call:
    def __init__(self, task):
        if not task.program["nodes"]:
            raise NotImplementedError("toy has no rule for nothing")
        print("what a library prints is no answer")
        self.task, self.arrays = task, {}

    def place(self, arrays):
        self.arrays = arrays

    def __call__(self):
        fault = self.task.options.get("fault", "")
        if fault == "memory":
            raise MemoryError("no room")
        if fault == "device memory":
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        if fault == "exit":
            print("these are its last words", flush=True)
            os._exit(3)
        time.sleep(self.task.options.get("sleep_s", 0))
        x = self.arrays["x"]
        off = self.task.options.get("off", 0.0)
        return np.full(len(x), 2.0 * x.shape[-1] + off, x.dtype)

    def wait(self, result):
        pass

    def numbers(self, result):
        return result


prepare = Call
