"""The engine's kernels in C++, built on the machine that runs them; see docs/performance.md."""
