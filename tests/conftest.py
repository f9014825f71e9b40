"""One torch thread in every test: two threads collapse as soon as anything else runs on the machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
