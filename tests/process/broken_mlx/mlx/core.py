"""Fails as a CUDA build does without a driver."""

raise ImportError("libcuda.so.1: cannot open shared object file: No such file or directory")
