"""What each method costs beside the passes that it cannot do without, and beside captum, grad-cam and torchcam: a script each.

`python -m camutils.evaluation.speed.cluster_cam`. They need the extra `[test]`, which brings those packages.
"""
