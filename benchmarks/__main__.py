"""`make bench`: the engine beside its peers. Other measurements are modules beside this:
`python -m benchmarks.sweep` and so on; each prints what it compares."""

from benchmarks.engine import main

main()
