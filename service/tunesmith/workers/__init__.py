"""Worker processes and what they run: chunks of work go in, results come out.

Begin with `executor`, the seam; `chunks` has the functions that workers run."""
