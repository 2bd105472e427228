"""How notebooks and pictures are made: figures (drawing), render (executing), compare and reproduce (is it the same elsewhere?).

May import: everything below it.
"""
