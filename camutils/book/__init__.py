"""How notebooks and pictures are made: figures (pictures, maps), plotted (their numbers), charts (measured results), diagrams
(how a method works), exercises (and their checks), render (executing), handout (copies for a class), site/ (the book as pages),
explorer/ (widgets to play with), compare and reproduce (is it the same elsewhere?).

May import: everything below it.
"""
