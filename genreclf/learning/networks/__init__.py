"""Neural networks in PyTorch (extra ``torch``), which is imported only where a network is trained.

Optimisers, own layers, and the training of generative adversarial networks.
"""
