"""The rule language: code → checked graph → rows and compiled conditions.

The life of a rule:
1. `scanner` bounds the text, `ast` parses it, `program` and `expressions` check every word against `language`.
2. `graph` makes each distinct sub-expression one node; `composites` says what functions are made of.
3. `plan` decides what is a row and what is fused; `emit` writes the fused part as source, `generated` keeps it.
4. `binding` computes the rows on bars for the points at hand and hands out signals for any range of them.
"""
