"""The functions that workers run, by feature, and their payloads.

Begin with `chunk_table`, which names them all and the lane of each; `payloads` is what travels."""
