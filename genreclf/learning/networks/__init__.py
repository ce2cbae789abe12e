"""Neural networks in PyTorch (extra ``torch``), which is imported only where a network is trained.

Optimisers, own layers, and the training of convolutional and generative adversarial networks. The
layers of a trained convolutional network are also there in numpy (``layers``), for predictions.
"""
