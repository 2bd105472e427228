"""The explorer, notebooks/90_explorer: choose picture, network, class, method and its knobs, and see what the map becomes.

    words     every label and sentence, and one line for each method, knob and measure: the place for a new one
    knobs     which knobs a method has, from its signature; how much work it will be
    work      what is asked, and what it takes to answer: each step is made once and remembered by what it depends on
    said      the same in words: the Python call to copy, the text of a picture, the table of measures
    pictures  maps as pixels, and the sheet that stands for the explorer where no kernel runs
    view      the widgets, which hold no state but what the reader has chosen
    lab       `camutils explore`
"""
