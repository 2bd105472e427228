"""What every method stands on; knows no method, no data set.

probe (activations and gradients at layers), layers and stages (which), targets (what is explained), maps (sum, upsample,
normalise), baselines (the picture without content). May import: nothing of camutils but `places` and `extras`.
"""
