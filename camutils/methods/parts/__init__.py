"""The axes that the papers share, each usable alone.

links, rivals, biases, fusion (Integrative CAM); paths, scales (GIG-CAM+M); masks (Score-CAM); kmeans, clusters (Cluster-CAM).
May import: core.
"""
