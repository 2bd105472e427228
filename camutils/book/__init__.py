"""How notebooks and pictures are made: figures (pictures, maps), charts (measured results), diagrams (how a method works), render
(executing), compare and reproduce (is it the same elsewhere?).

May import: everything below it.
"""
