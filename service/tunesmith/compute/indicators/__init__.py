"""Indicators: one declaration each, beside the kernel that computes it. Begin with `declaration`; `registry` lists all.

A kernel works on a batch of rows:

| symbol | dtype, shape | is |
|---|---|---|
| x | float64[m, T] | the argument's distinct rows |
| source | int64[k] | which of them row j of the result reads |
| window | int64[k] | row j's window n, n >= 1 |
| out | float64[k, T] | the result, written in full |

Undefined (NaN or infinite) input makes the windows that hold it undefined; recursive averages begin anew after it.
"""
